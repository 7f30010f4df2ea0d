"""What a child's command line shows of passwords and tokens: nothing."""

from __future__ import annotations

import pytest

from pytest_resource_hygiene.trackers._secrets import without_secrets


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["psql", "postgres://me:pw@db/app"], ["psql", "postgres://me:(hidden)@db/app"]),
        (["x", "--password=pw", "-v"], ["x", "--password=(hidden)", "-v"]),
        (["x", "--api-key", "pw", "y"], ["x", "--api-key", "(hidden)", "y"]),
        (["x", "--token", "--verbose"], ["x", "--token", "--verbose"]),
        (["env", "MYSQL_PWD=pw", "mysql"], ["env", "MYSQL_PWD=(hidden)", "mysql"]),
        (["x", "--token=", "a"], ["x", "--token=", "a"]),
        (["x", "--host=a", "PWD=/home"], ["x", "--host=a", "PWD=/home"]),
        (["sh", "-c", "read key; x=$key"], ["sh", "-c", "read key; x=$key"]),
        (["x", "src/tokens/a=b"], ["x", "src/tokens/a=b"]),
    ],
)
def test_values_of_telling_names_and_passwords_of_addresses_are_hidden(
    command: list[str], shown: list[str]
) -> None:
    assert without_secrets(command) == shown
