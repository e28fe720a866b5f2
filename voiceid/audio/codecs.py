"""Which libraries decode and resample here."""

from __future__ import annotations

from voiceid.errors import AudioError


def codec_versions() -> str:
    """Return names and versions of the libraries that decode and resample."""
    try:
        import av  # noqa: PLC0415 - as in the modules that use them
        import soundfile  # noqa: PLC0415
        import soxr  # noqa: PLC0415
    except (ImportError, OSError) as error:
        raise AudioError(
            f"a codec library cannot be loaded: {error}", hint="Install voiceid again."
        ) from error
    ffmpeg = ".".join(map(str, av.library_versions["libavcodec"]))
    return (
        f"libsndfile {soundfile.__libsndfile_version__}, FFmpeg's libavcodec {ffmpeg}"
        f" (PyAV {av.__version__}), soxr {soxr.__version__}"
    )
