"""What all tables are made of: their types, and the names of what hangs on them."""

import sqlalchemy
from sqlalchemy import BigInteger, MetaData

__all__ = ["Text", "Time", "metadata"]

# PostgreSQL would else compare by the rules of the database's language, slowly and otherwise than
# SQLite.
Text = sqlalchemy.Text().with_variant(sqlalchemy.Text(collation="C"), "postgresql")

Time = BigInteger()

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)
