"""What a connection is told about silence, beside what its URL asks for itself."""

from sqlalchemy import text

from db.engine import make_engine, reading


def test_what_the_url_asks_of_the_server_is_asked_too(postgres_url):
    engine = make_engine(f"{postgres_url}&options=-c%20work_mem%3D5MB")
    with reading(engine) as connection:
        assert connection.execute(text("SHOW work_mem")).scalar_one() == "5MB"
    engine.dispose()
