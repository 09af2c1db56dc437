"""`load_image`: images as written by cameras, phones, scanners and drawing programs."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from cnnx.data import load_image

Image = pytest.importorskip("PIL.Image")

ROOT = Path(__file__).parents[1]
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)
COLOUR = RNG.integers(0, 256, (5, 7, 3), np.uint8)
ALPHA = RNG.integers(0, 256, (5, 7), np.uint8)


def save(path, pixels, mode=None, **options):
    image = Image.fromarray(np.asarray(pixels))
    (image.convert(mode) if mode else image).save(path, **options)
    return path


# Pixels


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "tiff", "pgm", "PNG"])
def test_grey_pixels_are_divided_by_255(tmp_path, suffix):
    x = load_image(save(tmp_path / f"a.{suffix}", GREY), channels=1)
    assert x.shape == (1, 5, 7) and x.dtype == np.float32 and x.flags.c_contiguous
    np.testing.assert_array_equal(x[0], GREY.astype(np.float32) / 255)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "webp"])
def test_colour_is_three_planes(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    x = load_image(str(save(tmp_path / f"a.{suffix}", COLOUR, **options)))
    np.testing.assert_array_equal(x, COLOUR.transpose(2, 0, 1).astype(np.float32) / 255)


def test_channels_makes_grey_of_colour_and_three_planes_of_grey(tmp_path):
    grey = load_image(save(tmp_path / "colour.png", COLOUR), channels=1)
    np.testing.assert_allclose(grey[0], COLOUR @ [0.299, 0.587, 0.114] / 255, atol=0.6 / 255)
    three = load_image(save(tmp_path / "grey.png", GREY), channels=3)
    np.testing.assert_array_equal(three, np.stack([GREY.astype(np.float32) / 255] * 3))


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_sixteen_bits_are_divided_by_65535(tmp_path, suffix):
    deep = RNG.integers(0, 65536, (5, 7), np.uint16)
    x = load_image(save(tmp_path / f"deep.{suffix}", deep))
    np.testing.assert_allclose(x[0], deep / 65535, atol=1e-7)
    small = load_image(tmp_path / f"deep.{suffix}", size=(2, 3), channels=3)
    expected = Image.fromarray((deep / 65535).astype(np.float32)).resize((3, 2), Image.BILINEAR)
    np.testing.assert_allclose(small, [np.asarray(expected)] * 3, atol=1e-6)


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_numbers_of_an_unknown_range_are_rejected(tmp_path, kind):
    save(tmp_path / "a.tif", np.ones((4, 4), kind))
    with pytest.raises(ValueError, match=r"a.tif: pixels of mode [FI], expected 8 or 16 bits"):
        load_image(tmp_path / "a.tif")


def test_one_bit_palette_and_cmyk_pictures_are_read(tmp_path):
    bits = GREY > 127
    x = load_image(save(tmp_path / "bits.png", bits))
    np.testing.assert_array_equal(x[0], bits)
    web = np.broadcast_to(np.uint8([51, 102, 204]), (4, 6, 3)).copy()
    web[0] = 255
    x = load_image(save(tmp_path / "palette.gif", web, mode="P"))
    np.testing.assert_array_equal(np.rint(x * 255), web.transpose(2, 0, 1))
    x = load_image(save(tmp_path / "print.tif", web, mode="CMYK"))
    np.testing.assert_allclose(x * 255, web.transpose(2, 0, 1), atol=1)


def test_the_first_picture_of_an_animation_is_read(tmp_path):
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    for name in ("a.gif", "a.tiff"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        x = load_image(tmp_path / name, channels=1)
        np.testing.assert_array_equal(x[0], GREY.astype(np.float32) / 255)


# Orientation


# The displayed position of stored row 0 and column 0, by the definition of EXIF.
UPRIGHT = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).T,
    8: np.rot90,
}


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_photo_is_rotated_according_to_its_orientation(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    blocks = np.kron(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40, np.ones((8, 8), np.uint8))
    path = save(tmp_path / f"a.{suffix}", blocks, exif=exif, lossless=True, quality=100)
    upright = UPRIGHT[orientation](blocks)
    x = load_image(path, channels=1)
    assert x.shape == (1, *upright.shape)
    np.testing.assert_allclose(x[0] * 255, upright, atol=2)
    small = load_image(path, size=(6, 4), channels=1)
    expected = Image.fromarray(upright).resize((4, 6), Image.BILINEAR)
    np.testing.assert_allclose(small[0] * 255, np.asarray(expected), atol=2)


def test_damaged_metadata_does_not_make_an_image_invalid(tmp_path):
    save(tmp_path / "a.jpg", GREY, exif=b"Exif\0\0MM\0*\xff\xff\xff\xffrubbish")
    assert load_image(tmp_path / "a.jpg").shape == (1, 5, 7)


# Transparency


def transparent(colour):
    """A cross of one colour on a transparent background."""
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[3:5, :] = pixels[:, 3:5] = (*colour, 255)
    return pixels


def test_transparent_pixels_are_composited_onto_white_or_the_given_background(tmp_path):
    black = save(tmp_path / "black.png", transparent((0, 0, 0)))
    cross = transparent((0, 0, 0))[..., 3] == 255
    np.testing.assert_array_equal(load_image(black), np.stack([1.0 - cross] * 3))
    white = save(tmp_path / "white.png", transparent((255, 255, 255)))
    x = load_image(white, channels=1, background="black")
    np.testing.assert_array_equal(x[0], cross)
    for background, level in (
        ("#336699", (0.2, 0.4, 0.6)),
        (0.25, (0.25,) * 3),
        ((0, 0.5, 1),) * 2,
    ):
        x = load_image(black, background=background)
        np.testing.assert_allclose(x[:, 0, 0], level, atol=1e-6)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_half_transparent_pixels_are_blended(tmp_path, mode):
    if mode == "RGBA":
        colour, stored = COLOUR, Image.fromarray(np.dstack([COLOUR, ALPHA]))
    else:
        colour, stored = GREY[..., None], Image.fromarray(np.dstack([GREY, ALPHA]), "LA")
    stored.save(tmp_path / "a.png")
    x = load_image(tmp_path / "a.png", background=0.25)
    share = ALPHA[..., None] / 255
    expected = share * colour / 255 + (1 - share) * 0.25
    expected = np.broadcast_to(expected.transpose(2, 0, 1), x.shape)
    np.testing.assert_allclose(x, expected, atol=1e-6)


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1", "I;16"])
def test_one_transparent_colour_is_transparent(tmp_path, mode):
    pixels = np.full((4, 4), 255, np.uint16 if mode == "I;16" else np.uint8)
    pixels[0] = 0
    image = Image.fromarray(pixels)
    image = image if mode == "I;16" else image.convert(mode)
    key = (0, 0, 0) if mode == "RGB" else 0
    if mode == "P":
        key = image.getpixel((0, 0))
    image.save(tmp_path / "a.png", transparency=key)
    x = load_image(tmp_path / "a.png", background=0.5, channels=1)
    np.testing.assert_allclose(x[0, 0], 0.5, atol=1e-6)
    np.testing.assert_allclose(x[0, 1:], 255 / 65535 if mode == "I;16" else 1, atol=1e-6)


def test_scaling_weights_colours_by_their_opacity(tmp_path):
    """Transparent pixels contain black here, which must not darken the edge of white ones."""
    pixels = transparent((255, 255, 255))
    x = load_image(save(tmp_path / "a.png", pixels), size=5, channels=1, background="black")
    seen = np.asarray(Image.fromarray(pixels[..., 3]).resize((5, 5), Image.BILINEAR))
    np.testing.assert_allclose(x[0] * 255, seen, atol=2)


def test_an_image_of_one_colour_is_named_with_its_background(tmp_path):
    save(tmp_path / "white.png", transparent((255, 255, 255)))
    with pytest.warns(UserWarning, match=r"white.png: every pixel is 1; .* on 1: background="):
        load_image(tmp_path / "white.png")
    with pytest.warns(UserWarning, match=r"white.png: every pixel is 0; .* on 1: background="):
        load_image(tmp_path / "white.png", channels=1, invert=True)
    save(tmp_path / "grey.png", np.full((4, 4), 51, np.uint8))
    with pytest.warns(UserWarning, match=r"grey.png: every pixel is 0\.2$"):
        load_image(tmp_path / "grey.png")
    save(tmp_path / "dot.png", np.zeros((1, 1), np.uint8))
    assert load_image(tmp_path / "dot.png").shape == (1, 1, 1)  # one pixel is always uniform


def test_invert_exchanges_black_and_white(tmp_path):
    save(tmp_path / "a.png", GREY)
    np.testing.assert_array_equal(
        load_image(tmp_path / "a.png", invert=True), 1 - load_image(tmp_path / "a.png")
    )


# Size


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("size", [(20, 30), (64, 8), (300, 200)])
def test_size_is_the_exact_height_and_width_scaled_with_antialiasing(tmp_path, suffix, size):
    rows, columns = np.mgrid[:160, :240]
    smooth = (127 + 100 * np.sin(rows / 30) * np.cos(columns / 25)).astype(np.uint8)
    save(tmp_path / f"a.{suffix}", smooth, quality=100)
    x = load_image(tmp_path / f"a.{suffix}", size=size)
    assert x.shape == (1, *size)
    expected = Image.fromarray(smooth).resize(size[::-1], Image.BILINEAR)
    np.testing.assert_allclose(x[0] * 255, np.asarray(expected), atol=4)
    stripes = np.tile(np.uint8([0, 255]), (160, 120))
    save(tmp_path / f"b.{suffix}", stripes, quality=100)
    x = load_image(tmp_path / f"b.{suffix}", size=20)
    np.testing.assert_allclose(x[..., 1:-1], 0.5, atol=0.03)  # picked: black or white


def test_one_number_is_height_and_width(tmp_path):
    assert load_image(save(tmp_path / "a.png", GREY), size=np.int64(9)).shape == (1, 9, 9)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"size": 0}, ValueError, "size must be 1 or more, got 0"),
        ({"size": (4, -1)}, ValueError, "size must be 1 or more, got -1"),
        ({"size": 2**40}, ValueError, "size is 1099511627776, expected at most"),
        (
            {"size": (1, 2, 3)},
            ValueError,
            r"size is \(1, 2, 3\), expected a number or \(h",
        ),
        ({"size": 2.5}, TypeError, "size must be an integer, got 2.5"),
        ({"channels": 2}, ValueError, r"channels is 2, expected 1 \(grey\) or 3"),
        ({"channels": "L"}, TypeError, "channels must be an integer"),
        ({"background": "whit"}, ValueError, "background is 'whit', expected a name"),
        ({"background": 255}, ValueError, r"background is 255, expected .* from 0 \(black\) to 1"),
        ({"background": (0, 1)}, ValueError, r"background is \(0, 1\), expected"),
        ({"background": np.nan}, ValueError, "background is nan, expected"),
        ({"background": object}, ValueError, "background is <class 'object'>, expected"),
        ({"invert": "yes"}, TypeError, "invert must be True or False, got 'yes'"),
    ],
)
def test_invalid_arguments_are_rejected_before_the_file_is_opened(arguments, error, message):
    with pytest.raises(error, match=f"^load_image: {message}"):
        load_image("nowhere.png", **arguments)


# Malicious files, and paths that are not files


@pytest.mark.parametrize("keep", [0, 20, 60, -60], ids=["empty", "signature", "header", "tail"])
def test_a_damaged_image_is_named(tmp_path, keep):
    save(tmp_path / "a.png", RNG.integers(0, 256, (16, 16), np.uint8))
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"a.png: (not an image|damaged or truncated)"):
        load_image(tmp_path / "a.png")


@pytest.mark.filterwarnings("ignore:.*every pixel is")
@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "webp", "tiff", "ppm"])
def test_any_damage_is_a_single_value_error(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    save(path, COLOUR)
    good = path.read_bytes()
    damaged = [good[:size] for size in range(0, len(good), 1 + len(good) // 60)]
    for position in range(0, len(good), 1 + len(good) // 200):
        flipped = bytearray(good)
        flipped[position] ^= 0xFF
        damaged.append(bytes(flipped))
    refused = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            load_image(path, size=4)
        except ValueError as error:
            assert str(error).startswith(str(path))
            refused += 1
    assert refused > len(damaged) // 20


@pytest.mark.parametrize("side", [10_000, 20_000, 2**31 - 1])
def test_an_image_that_claims_a_hundred_million_pixels_is_rejected(tmp_path, side):
    save(tmp_path / "a.png", GREY)
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[16:24] = 2 * side.to_bytes(4, "big")  # width and height in the IHDR chunk
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"a.png: .*(claims|exceeds limit)"):
        load_image(tmp_path / "a.png", size=4)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_a_folder_and_a_device_are_rejected(tmp_path):
    os.mkfifo(tmp_path / "z.png")
    (tmp_path / "x.png").mkdir()
    for path, kind in (
        (tmp_path / "z.png", "named pipe"),
        (tmp_path / "x.png", "folder"),
        ("/dev/zero", "device"),
    ):
        with pytest.raises(ValueError, match=f"{path}: a {kind}, expected the file of an image"):
            load_image(path)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_image(tmp_path / "nowhere.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    with pytest.raises(OSError, match=r"loop.png"):
        load_image(tmp_path / "loop.png")


def zeros_png(path, side):
    """A grey PNG of zeros, of any size, written without allocating its pixels."""
    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes(side + 1)) for _ in range(side)) + packer.flush()

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def test_shrinking_a_large_image_takes_only_the_memory_of_its_pixels(tmp_path):
    zeros_png(tmp_path / "large.png", 9000)
    code = (
        "import resource, sys, warnings; import cnnx; warnings.simplefilter('ignore')\n"
        "import PIL.PngImagePlugin\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "cnnx.data.load_image(sys.argv[1], size=28)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "large.png"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 120_000  # kB, with pixels of 79,000; floats would take 316,000


def test_without_pillow_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"pip install 'cnnx\[images\]'"):
        load_image(tmp_path / "a.png")
