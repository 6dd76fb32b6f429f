"""The front door: `oddlot ...`, and the embedded services that it starts.

What lives here: arguments, progress, tables, and the life of the processes of one PC. What may not: any rule about
jobs, scores or models; those are in the rooms below. Heavy modules are imported inside the commands that need them.
"""
