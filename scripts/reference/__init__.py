"""The reference pages, made from the code: settings, commands, tables."""
