def components() -> None:
    pass
