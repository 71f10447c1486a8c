"""PyAV, which reads and writes videos, where it is installed."""

from types import ModuleType

from mfd.errors import ConfigError


def require_av() -> ModuleType:
    """The module `av`.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise ConfigError(
            "videos and cameras need PyAV, which is not installed; pip install 'mfd[video]'"
        ) from error
    return av
