"""What pictures, films and sounds are called, by their first bytes: which pictures are read, and which are not."""

_READ = (
    (b"\x89PNG\r\n\x1a\n", "a PNG image"), (b"\xff\xd8\xff", "a JPEG image"), (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"), (b"II*\x00", "a TIFF image"), (b"MM\x00*", "a TIFF image"),
    (b"II+\x00", "a TIFF image"), (b"MM\x00+", "a TIFF image"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "a JPEG 2000 image"), (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
)  # fmt: skip
_NOT_READ = (
    (b"\xff\x0a", "a JPEG XL image"), (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "a JPEG XL image"),
    (b"II\xbc\x01", "a JPEG XR image"), (b"8BPS", "a Photoshop image"), (b"\x00\x00\x01\x00", "an icon"),
    (b"\x00\x00\x02\x00", "a mouse pointer"), (b"AT&TFORM", "a DjVu document"), (b"\xd7\xcd\xc6\x9a", "a WMF drawing"),
    (b"\x0a\x05\x01\x08", "a PCX image"), (b"SIMPLE  =", "a FITS image"), (b"v/1\x01", "an OpenEXR image"),
    (b"\x97JB2\r\n\x1a\n", "a JBIG2 image"), (b"gimp xcf", "a GIMP image"), (b"\x1aE\xdf\xa3", "a film"),
    (b"FLV\x01", "a film"), (b"\x00\x00\x01\xba", "a film"), (b"fLaC", "a sound recording"),
    (b"ID3", "a sound recording"), (b"OggS", "a sound recording"), (b"#!AMR", "a sound recording"),
    (b"qoif\x00", "a QOI image"), (b"icns\x00", "an icon"), (b"BPG\xfb", "a BPG image"),
    (b"\x8bJNG\r\n", "a JNG image"),
    (b"\x8aMNG\r\n", "a MNG image"), (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"MThd\x00\x00\x00\x06", "a sound recording"),
    (b"\x06\x06\xed\xf5\xd8\x1d\x46\xe5", "an InDesign document"),
    (b"FUJIFILMCCD-RAW", "a photo as the camera took it"),
    (b"IIU\x00", "a photo as the camera took it"), (b"IIRO", "a photo as the camera took it"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a film"),
)  # fmt: skip
_PORTABLE = (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"P7")
_RIFF = {b"WAVE": "a sound recording", b"AVI ": "a film"}
_PHOTOS = (
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1", b"miaf",
)  # fmt: skip
_MAX_BRANDS = 64
_LEAST_BITMAP_BYTES = 26


def image_name(data: bytes) -> str | None:
    """Which kind of image the file is that is read; None where it is none."""
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "a WebP image"
    if data.startswith(b"BM") and len(data) > _LEAST_BITMAP_BYTES and data[6:10] == b"\x00" * 4:
        # Two letters are not enough: a bitmap also states its size, and where its pixels begin.
        return "a BMP image"
    if _brands(data)[:1] in ([b"avif"], [b"avis"]):
        return "an AVIF image"
    return next((name for start, name in _READ if data.startswith(start)), None)


def unread_media_name(data: bytes) -> str | None:
    """What a picture, film or sound is called that is not read; None where it is none."""
    brands = _brands(data)
    if brands:
        if any(brand in _PHOTOS for brand in brands):
            return "a HEIC photo"
        return "a photo as the camera took it" if brands[0] == b"crx " else "a film"
    if data.startswith(b"RIFF"):
        return _RIFF.get(data[8:12], "a film or sound recording")
    if data.startswith(b"\x01\x00\x00\x00") and data[40:44] == b" EMF":
        return "an EMF drawing"
    if data.startswith(_PORTABLE) and data[2:3] in (b"\n", b" ", b"\t", b"\r") and data[3:4] in b"#0123456789W":
        return "a PNM image"
    if data[128:132] == b"DICM":
        return "a medical image"
    if data.startswith(b"AC10") and data[6:8] == b"\x00\x00":
        return "a CAD drawing"
    if data.startswith(b"FORM") and data[8:12] in (b"AIFF", b"AIFC"):
        return "a sound recording"
    if data[:3] == b"\x00\x00\x00" and data[4:8] in (b"moov", b"wide"):
        return "a film"
    return next((name for start, name in _NOT_READ if data.startswith(start)), None)


def _brands(data: bytes) -> list[bytes]:
    """What a file in the form of a film says that it is: the main kind, then those that it fits."""
    if data[4:8] != b"ftyp" or len(data) < 12:
        return []
    size = int.from_bytes(data[:4], "big")
    end = min(size if size >= 16 else 16, len(data), 16 + 4 * _MAX_BRANDS)
    return [data[8:12], *(data[start : start + 4] for start in range(16, end - 3, 4))]
