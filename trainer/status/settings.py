"""Who is told what came of runs: `FEED_TRAINER_SNOWFLAKE_*`, `FEED_TRAINER_MLFLOW_*`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationInfo, field_validator

from runtime.secrets.files import SecretPath
from runtime.settings import CommonSettings

# What Snowflake takes without quotes; it goes into statements as it is.
_IDENTIFIER: Final = r"^$|^[A-Za-z_][A-Za-z0-9_$]{0,254}$"


@dataclass(frozen=True, slots=True)
class SnowflakeAccess:
    """Where the table is, and who writes it.

    Args:
        account: Such as "myorg-myaccount".
        user: Who logs in.
        private_key_file: PEM file of the user's key.
        private_key_password_file: File that holds the key's password; None: it has none.
        database: Of the table.
        schema: Of the table.
        table: Its name; made when it is not there.
        warehouse: Empty: the user's own.
        role: Empty: the user's own.
    """

    account: str
    user: str
    private_key_file: Path | None
    private_key_password_file: Path | None
    database: str
    schema: str
    table: str
    warehouse: str
    role: str


class StatusSettings(CommonSettings):
    """The destinations of statuses."""

    trainer_mlflow_enabled: bool = Field(True, description="Whether runs are told to MLflow.")
    trainer_mlflow_uri: str = Field(
        "",
        pattern=r"^$|^https?://[^\s@]+$|^sqlite:///\S+$",
        description="https://…, http://… or sqlite:///… of MLflow, credentials in MLFLOW_TRACKING_*; "
        "empty: SQLite in the data directory.",
    )

    trainer_snowflake_account: str = Field(
        "", pattern=r"^[A-Za-z0-9_.-]{0,255}$", description="Such as myorg-myaccount; empty: Snowflake is not told."
    )
    trainer_snowflake_user: str = Field("", max_length=255, description="Who logs in.")
    trainer_snowflake_private_key_file: SecretPath | None = Field(
        None, description="PEM file (PKCS 8) of the user's key."
    )
    trainer_snowflake_private_key_password_file: SecretPath | None = Field(
        None, description="Path of a file that holds the key's password; empty: it has none."
    )
    trainer_snowflake_database: str = Field("", pattern=_IDENTIFIER, description="Database of the table.")
    trainer_snowflake_schema: str = Field("", pattern=_IDENTIFIER, description="Schema of the table.")
    trainer_snowflake_table: str = Field(
        "MODEL_TRAININGS", pattern=_IDENTIFIER, min_length=1, description="Name of the table."
    )
    trainer_snowflake_warehouse: str = Field("", pattern=_IDENTIFIER, description="Empty: the user's own.")
    trainer_snowflake_role: str = Field("", pattern=_IDENTIFIER, description="Empty: the user's own.")

    @field_validator(
        "trainer_snowflake_user",
        "trainer_snowflake_private_key_file",
        "trainer_snowflake_database",
        "trainer_snowflake_schema",
    )
    @classmethod
    def _is_there_for_an_account(cls, value: str | Path | None, info: ValidationInfo) -> str | Path | None:
        if not value and info.data.get("trainer_snowflake_account"):
            raise ValueError("must be set beside FEED_TRAINER_SNOWFLAKE_ACCOUNT")
        return value

    @property
    def mlflow_dir(self) -> Path:
        """Where MLflow's own store and its artifacts live, unless a URI is set."""
        return self.data_dir / "mlflow"

    @property
    def mlflow_uri(self) -> str:
        """URI of MLflow, the embedded one when none is set."""
        return self.trainer_mlflow_uri or f"sqlite:///{self.mlflow_dir.absolute() / 'mlflow.db'}"

    @property
    def snowflake_access(self) -> SnowflakeAccess:
        """Where Snowflake's table is, and who writes it."""
        return SnowflakeAccess(
            self.trainer_snowflake_account,
            self.trainer_snowflake_user,
            self.trainer_snowflake_private_key_file,
            self.trainer_snowflake_private_key_password_file,
            self.trainer_snowflake_database,
            self.trainer_snowflake_schema,
            self.trainer_snowflake_table,
            self.trainer_snowflake_warehouse,
            self.trainer_snowflake_role,
        )
