"""What all records share."""

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def check(condition: bool, message: str) -> None:
    """Raise ValueError with `message` unless `condition` holds."""
    if not condition:
        raise ValueError(message)
