"""The example that reads text: its geometry, and its lines beside those of rapidocr."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("PIL")
from PIL import Image

from cnnx.examples import read_text, text_regions

PARTS = importlib.util.find_spec("rapidocr")
networks = pytest.mark.skipif(PARTS is None, reason="no rapidocr: pip install 'cnnx[zoo]'")


# -- geometry --------------------------------------------------------------------------------------


def flooded(mask):
    """The 8-connected regions as sets of (x, y), by filling one after the other."""
    left = {(x, y) for y, x in zip(*np.nonzero(mask))}
    while left:
        region, edge = set(), [left.pop()]
        while edge:
            x, y = edge.pop()
            region.add((x, y))
            near = {(x + i, y + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near
            edge += near
        yield region


@pytest.mark.parametrize("share", (0.2, 0.4, 0.6))
@pytest.mark.parametrize("seed", range(5))
def test_components_are_those_of_flooding(share, seed):
    mask = np.random.default_rng(seed).random((17, 23)) < share
    found = text_regions.components(mask)
    expected = {(min(r), max(r)): r for r in flooded(mask)}
    assert len(found) == len(expected)
    for points in found:
        points = set(map(tuple, points.tolist()))
        [region] = [r for r in expected.values() if points & r]
        assert points <= region
        for y in {y for _, y in region}:  # the outermost of each row are among them
            row = [x for x, other in region if other == y]
            assert {(min(row), y), (max(row), y)} <= points


def test_nothing_is_no_component():
    assert text_regions.components(np.zeros((4, 5), bool)) == []
    assert text_regions.regions(np.zeros((32, 32)), (32, 32)) == []


@pytest.mark.parametrize("angle", (0.0, 0.3, 1.1, 2.5))
def test_the_smallest_rectangle_around_a_turned_one(angle):
    rng = np.random.default_rng(0)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = np.array([[0, 0], [30, 0], [30, 8], [0, 8]]) @ turn + (50, 40)
    inside = rng.random((40, 2)) * (30, 8) @ turn + (50, 40)
    rectangle = text_regions.smallest_rectangle(np.concatenate([inside, corners]))
    np.testing.assert_allclose(sorted(rectangle.sides()), [8, 30], atol=1e-9)
    for corner in corners:
        assert np.linalg.norm(rectangle.corners() - corner, axis=1).min() < 1e-9
    np.testing.assert_allclose(sorted(rectangle.grown(2).sides()), [12, 34], atol=1e-9)


def test_points_in_one_place_have_a_rectangle():
    for points in ([[3, 4]], [[3, 4], [3, 4]], [[0, 0], [5, 0]]):
        rectangle = text_regions.smallest_rectangle(np.array(points))
        assert min(rectangle.sides()) == 0


def test_a_region_is_grown_and_scaled():
    """A bar of 40 x 10 pixels: 39 x 9 from centre to centre of its border, widened by one."""
    probability = np.zeros((64, 96))
    probability[20:30, 30:70] = 0.9
    [corners] = text_regions.regions(probability, (192, 64))
    by = 1.6 * 40 * 10 / (2 * (40 + 10))
    left, right, top, bottom = 30 - by, 70 + by, 20 - by, 30 + by
    x, y = np.rint([left, right, right, left]) * 2, np.rint([top, top, bottom, bottom])
    np.testing.assert_allclose(corners, np.stack([x, y], 1), atol=1)


def test_uncertain_and_small_regions_are_left_out():
    probability = np.zeros((64, 96))
    probability[10:20, 10:60] = 0.4
    probability[40:42, 40:42] = 0.9
    assert text_regions.regions(probability, (96, 64)) == []


def test_reading_order_is_by_rows():
    places = [(300, 12), (10, 60), (10, 15), (150, 8)]
    corners = [np.array([[x, y]] * 4) for x, y in places]
    ordered = [tuple(each[0]) for each in text_regions.reading_order(corners)]
    assert ordered == [(10, 15), (150, 8), (300, 12), (10, 60)]


def test_an_upright_rectangle_is_cut_out_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    page = Image.fromarray(pixels)
    corners = np.array([[10, 5], [50, 5], [50, 25], [10, 25]])
    image = np.asarray(text_regions.cut(page, corners), int)
    np.testing.assert_allclose(image, pixels[5:25, 10:50], atol=1)  # rounding of cubic weights


def test_a_tall_rectangle_is_turned():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 40, 3), np.uint8)
    corners = np.array([[5, 10], [25, 10], [25, 50], [5, 50]])
    image = np.asarray(text_regions.cut(Image.fromarray(pixels), corners), int)
    np.testing.assert_allclose(image, np.rot90(pixels[10:50, 5:25]), atol=1)


def test_decoding_joins_equal_characters_and_leaves_out_blanks():
    reader = read_text.Reader.__new__(read_text.Reader)
    reader.characters = ["", "a", "b", " "]
    steps = [0, 1, 1, 0, 1, 3, 2, 2, 0]
    probabilities = np.full((9, 4), 0.1)
    probabilities[np.arange(9), steps] = 0.7
    probabilities[6, 2] = 0.9
    text, score = reader.decoded(probabilities)
    assert text == "aa b"
    assert score == pytest.approx((3 * 0.7 + 0.9) / 4)
    assert reader.decoded(np.eye(4)[[0, 0]]) == ("", 0.0)


# -- the whole program -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reader():
    return read_text.Reader()


@networks
def test_the_sample_page_is_read(tmp_path, capsys):
    lines = read_text.main(["--out", str(tmp_path / "boxes.png")])
    assert tuple(line.text for line in lines) == read_text.SAMPLE
    printed = capsys.readouterr().out
    assert all(text in printed for text in read_text.SAMPLE)
    drawn = np.asarray(Image.open(tmp_path / "boxes.png"), int)
    assert (np.abs(drawn - (255, 0, 0)).sum(2) == 0).sum() > 1000  # red pixels


@networks
def test_a_page_upside_down_is_read(reader):
    page = read_text.make_page().rotate(180)
    assert [line.text for line in reader(page)] == list(read_text.SAMPLE[::-1])


@networks
def test_a_single_long_line_is_read(reader):
    page = read_text.make_page(["One line, more than eight times as wide as it is high"], 20)
    page = page.crop((0, 12, page.width, 48))
    assert page.width > 8 * page.height
    [line] = reader(page)
    assert line.text == "One line, more than eight times as wide as it is high"
    assert 0 <= line.corners[0, 1] < line.corners[2, 1] <= page.height


def pages():
    """Name, and a page."""
    yield "the sample", read_text.make_page()
    yield "small letters", read_text.make_page(["Letters of", "fourteen pixels", "0123456789"], 14)
    yield "large letters", read_text.make_page(["LARGE", "letters!"], 90)
    turned = read_text.make_page(["A page that is", "a little askew"], 40)
    yield "turned", turned.rotate(4, expand=True, fillcolor="white")
    one, other = (read_text.make_page([f"column {i}", f"of text {i}"]) for i in (1, 2))
    both = Image.new("RGB", (one.width + other.width + 40, one.height), "white")
    both.paste(one, (0, 0))
    both.paste(other, (one.width + 40, 0))
    yield "two columns", both


@networks
@pytest.mark.parametrize(
    ("name", "page"), list(pages()), ids=lambda each: each if type(each) is str else ""
)
def test_lines_are_those_of_rapidocr(name, page, reader):
    """The same texts in the same order; corners that differ by at most two pixels. Scores are not
    compared: a row of pixels more above a line changes some by 0.06.
    """
    pytest.importorskip("cv2")
    pytest.importorskip("pyclipper")
    from rapidocr import RapidOCR

    settings = {"EngineConfig.onnxruntime.intra_op_num_threads": 1, "Global.log_level": "error"}
    expected = RapidOCR(params=settings)(np.asarray(page)[..., ::-1])
    lines = reader(page)
    assert [line.text for line in lines] == list(expected.txts)
    for line, corners in zip(lines, expected.boxes, strict=True):
        np.testing.assert_allclose(line.corners, corners, atol=2)


@pytest.mark.parametrize(
    ("words", "message"), [(["none.png"], "none.png"), (["--models", "."], "no file")]
)
def test_what_is_not_there_is_an_error(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        read_text.main(words)
    assert message in capsys.readouterr().err
