"""`save_csv` and `load_csv`: tables as written by cnnx, pandas, Kaggle and spreadsheets."""

from __future__ import annotations

import codecs
import time

import numpy as np
import pytest

from cnnx.data import Dataset, load_csv, make_spiral, save_csv


def table(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_csv_gives_back_what_was_written(tmp_path, dtype):
    spiral = make_spiral(9, seed=0)
    for data in (
        Dataset(spiral.x.astype(dtype) / 3, spiral.y),
        Dataset(spiral.x.astype(dtype), spiral.x.astype(dtype) / 7),
    ):
        save_csv(tmp_path / "data.csv", data)
        loaded = load_csv(tmp_path / "data.csv", dtype)
        assert loaded.x.dtype == dtype and loaded.y.dtype == data.y.dtype
        assert (loaded.x == data.x).all() and (loaded.y == data.y).all()
    save_csv(tmp_path / "none.csv", (np.ones((0, 2)), np.ones((0, 1))))
    assert load_csv(tmp_path / "none.csv").x.shape == (0, 2)


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "starts with '', expected a header"),
        ("a,b\n1,2\n", "starts with 'a,b'"),
        ("x0,label\n1,2\n1\n", "line 3: 1 columns, expected 2"),
        ("x0,label\n1,0.5\n", "line 2: label 0.5 is not an integer"),
        ("x0,y0\n1,one\n", "line 2: could not convert 'one'"),
    ],
)
def test_text_that_is_not_a_table_is_named(tmp_path, text, words):
    (tmp_path / "data.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        load_csv(tmp_path / "data.csv")


# Files of other programs

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")
POINTS = [[0.5, 1], [2, 3.25], [-1, 4e-3]]
TABLES = {
    "blank-last-line": "a,b,label\n0.5,1,0\n2,3.25,1\n-1,4e-3,0\n\n",
    "windows": "a,b,label\r\n0.5,1,0\r\n2,3.25,1\r\n-1,4e-3,0\r\n \r\n,,\r\n",
    "spaces": "\na, b , label\n 0.5, 1, 0\n2 ,3.25 ,1 \n -1,4e-3,0\n",
    "quotes": '"a","b","label"\n"0.5","1","0"\n"2", "3.25","1"\n"-1","4e-3","0"\n',
    "label-first": "class,width,height\n0,0.5,1\n1,2,3.25\n0,-1,4e-3\n",
    "pandas-index": ",a,b,target\n0,0.5,1,0\n7,2,3.25,1\n3,-1,4e-3,0\n",
    "pandas-read-again": "Unnamed: 0,a,b,y\n0,0.5,1,0\n7,2,3.25,1\n3,-1,4e-3,0\n",
    "semicolons": "a;b;Label\n0,5;1;0\n2;3,25;1\n-1;4e-3;0\n",
    "tabs": "a\tb\tClass\n0.5\t1\t0.0\n2\t3.25\t1.0\n-1\t4e-3\t0.0\n",
    "comma-at-the-end": "a,b,label,\n0.5,1,0,\n2,3.25,1,\n-1,4e-3,0,\n",
    "a-feature-called-y": "x,y,label\n0.5,1,0\n2,3.25,1\n-1,4e-3,0\n",
}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_tables_as_programs_write_them_are_read(tmp_path, kind, encoding):
    data = load_csv(table(tmp_path / "a.csv", TABLES[kind], encoding))
    np.testing.assert_array_equal(data.x, np.float32(POINTS))
    assert data.x.dtype == np.float32 and data.y.dtype == np.int64
    assert data.y.tolist() == [0, 1, 0] and data.classes == ()


def test_columns_of_pixels_as_kaggle_has_them(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 784))
    header = "label," + ",".join(f"pixel{k}" for k in range(784))
    rows = [f"{k}," + ",".join(map(str, row)) for k, row in enumerate(pixels)]
    data = load_csv(table(tmp_path / "train.csv", "\n".join([header, *rows])))
    np.testing.assert_array_equal(data.x, pixels)
    assert data.y.tolist() == [0, 1, 2, 3, 4]


def test_words_as_labels_become_classes_by_name(tmp_path):
    text = 'Id,a,Species\n1,0.5,setosa\n2,1,virginica\n3,2,"Iris, setosa"\n4,3,setosa\n'
    with pytest.warns(UserWarning, match=r"the column 'Id' is left out") as caught:
        data = load_csv(table(tmp_path / "iris.csv", text))
    assert caught[0].filename == __file__
    assert data.classes == ("Iris, setosa", "setosa", "virginica")
    assert data.y.tolist() == [1, 2, 0, 1] and data.x.ravel().tolist() == [0.5, 1, 2, 3]
    mixed = load_csv(table(tmp_path / "hex.csv", "a,label\n1,A\n1,9\n1,10\n"))
    assert mixed.classes == ("10", "9", "A")


def test_the_column_of_labels_can_be_named_or_numbered(tmp_path):
    path = table(tmp_path / "a.csv", "kind,a,price\nx,1,2.5\ny,2,3.5\n")
    data = load_csv(table(tmp_path / "b.csv", "kind,a\nx,1\ny,2\n"), label="kind")
    assert data.classes == ("x", "y") and data.x.tolist() == [[1], [2]]
    assert load_csv(tmp_path / "b.csv", label=np.int64(0)).y.tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"line 2: could not convert 'x' in column 'kind'"):
        load_csv(path, label="price")
    with pytest.raises(ValueError, match=r"has 0 columns named 'cost'; .*: kind, a, price$"):
        load_csv(path, label="cost")
    for place in (3, -4):
        with pytest.raises(ValueError, match=rf"label (is column|must be -3 or more, got) {place}"):
            load_csv(path, label=place)
    with pytest.raises(TypeError, match=r"label must be an integer, got 0\.5"):
        load_csv(path, label=0.5)
    several = table(tmp_path / "c.csv", "class,target\n1,2\n")
    with pytest.raises(ValueError, match=r"may be the label, 'class' and 'target': choose one"):
        load_csv(several)
    assert load_csv(several, label="target").x.tolist() == [[1]]


def test_a_table_without_names_needs_the_index_of_the_label(tmp_path):
    path = table(tmp_path / "iris.data", "5.1,3.5,setosa\n4.9,3,virginica\n")
    data = load_csv(path, label=-1)
    assert data.classes == ("setosa", "virginica")
    np.testing.assert_array_equal(data.x, np.float32([[5.1, 3.5], [4.9, 3]]))
    with pytest.raises(
        ValueError, match=r"starts with '5.1,3.5,setosa', .*; select the target column"
    ):
        load_csv(path)
    counted = table(tmp_path / "b.csv", "0,1,2\n7,8,1\n")  # pandas' default column names
    assert load_csv(counted, label=2).x.tolist() == [[7, 8]]


@pytest.mark.parametrize("name", ["target", "y", "price"])
def test_fractions_are_regression_targets(tmp_path, name):
    path = table(tmp_path / "a.csv", f"a,{name}\n1,2.5\n2,3\n")
    data = load_csv(path, np.float64, label=None if name != "price" else "price")
    assert data.y.dtype == np.float64 and data.y.tolist() == [[2.5], [3]]


def test_a_missing_number_does_not_turn_labels_into_fractions(tmp_path):
    path = table(tmp_path / "a.csv", "a,target\n1,2\n2,nan\n")
    with pytest.raises(ValueError, match=r"line 3: label nan is not an integer"):
        load_csv(path)


@pytest.mark.parametrize("label", [None, 0, -1, "y"])
def test_an_empty_file_is_an_error_that_says_so(tmp_path, label):
    with pytest.raises(ValueError, match=r"a.csv' starts with '', expected a header"):
        load_csv(table(tmp_path / "a.csv", ""), label=label)


def test_booleans_are_numbers(tmp_path):
    data = load_csv(table(tmp_path / "a.csv", "a,b,label\nTrue,2,False\nfalse,3,True\n"))
    assert data.x.tolist() == [[1, 2], [0, 3]] and data.y.tolist() == [0, 1]


def test_other_encodings_are_named_or_given(tmp_path):
    path = table(tmp_path / "a.csv", "a,Größe,label\n1,2,süß\n", "cp1252")
    with pytest.raises(ValueError, match=r"a.csv': the text after line 0 is not utf-8 .*0xf6.*cp"):
        load_csv(path)
    assert load_csv(path, label="label", encoding="cp1252").classes == ("süß",)
    with pytest.raises(ValueError, match=r"a.csv': there is no encoding 'klingon'"):
        load_csv(path, encoding="klingon")
    (tmp_path / "b.csv").write_bytes(codecs.BOM_UTF16_LE + b"a,label")
    with pytest.raises(ValueError, match=r"b.csv': the text after line 0 is not utf-16"):
        load_csv(tmp_path / "b.csv")


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("-1", "line 3: label -1, expected 0 to 65535; regression targets need a column"),
        ("1e300", "line 3: label 1e300, expected 0 to 65535"),
        ("99999999999999999999", "line 3: label 99999999999999999999, expected"),
        ("10000000", "line 3: label 10000000, expected"),
        ("5000", r"has 2 different labels up to 5000, expected 0..1: np.unique\("),
        ("nan", "line 3: label nan is not an integer"),
        ("inf", "line 3: label inf is not an integer"),
        ("", "line 3: the label is missing"),
    ],
)
def test_labels_that_do_not_number_classes_are_an_error_within_a_second(tmp_path, label, message):
    path = table(tmp_path / "a.csv", f"a,label\n1,0\n2,{label}\n")
    start = time.process_time()
    with pytest.raises(ValueError, match=message) as caught:
        load_csv(path)
    assert time.process_time() - start < 1
    assert str(path) in str(caught.value)


def test_many_classes_may_leave_numbers_unused(tmp_path):
    for labels in ((0, 999), range(0, 3000, 40)):
        text = "a,label\n" + "".join(f"1,{label}\n" for label in labels)
        assert load_csv(table(tmp_path / "a.csv", text)).y.tolist() == list(labels)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,label\n1,,0\n", r", line 2: an empty cell in column 'b', expected a number"),
        ("a,b,label\n1,male,0\n", r", line 2: could not convert 'male' in column 'b' to a number"),
        ("a,label\n1,0\n\n1e39,0\n", r", line 4: a number is too large for float32"),
        ('a,label\n"1,0\n', r", line 2: 1 columns, expected 2"),
        ("a,label\n" + "1" * 200_000 + ",0\n", r", line 2: field larger than field limit"),
        ("a,,label\n1,2,3\n", r", line 2: column 1 from 0 has no name"),
        ("label\n1\n", r" has no columns except the label"),
        ("a,a,\n1,2,3\n", r" starts with 'a,a,'"),
        ("\n\n", r" starts with ''"),
    ],
)
def test_a_value_that_is_not_a_number_is_named_with_its_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=rf"load_csv: '.*a.csv'{message}"):
        load_csv(table(tmp_path / "a.csv", text))


def test_features_are_floating_point_numbers(tmp_path):
    with pytest.raises(TypeError, match=r"dtype is int64, expected one of floating-point numbers"):
        load_csv(tmp_path / "a.csv", np.int64)
