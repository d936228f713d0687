import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytosepsis.compensation import (
    Spillover,
    match_detectors,
    read_spillover_csv,
    spillover_from_keyword,
    spillover_of,
    unmixing,
    write_spillover_csv,
)
from cytosepsis.errors import CompensationError
from cytosepsis.fcs import read_fcs
from cytosepsis.gating.apply import gate
from cytosepsis.gating.plan import Axis, Rectangle, make_plan
from plan_files import real_file

TWO = Spillover(("A", "B"), ("A", "B"), ((1.0, 0.2), (0.1, 1.0)), "test")


def random_spillover(n: int, seed: int) -> Spillover:
    random = np.random.default_rng(seed)
    matrix = np.eye(n) + random.uniform(0, 0.4 / n, (n, n)) * (1 - np.eye(n))
    names = tuple(f"D{i}" for i in range(n))
    return Spillover(names, names, tuple(map(tuple, matrix.tolist())))


# --- the matrix itself


@given(st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_spilling_then_unmixing_is_the_identity(n, seed):
    spillover = random_spillover(n, seed)
    true = np.random.default_rng(seed).normal(1000, 300, (7, n))
    np.testing.assert_allclose(true @ spillover.array() @ unmixing(spillover), true, rtol=1e-9)


@given(st.integers(2, 8), st.integers(0, 2**32 - 1))
def test_permuted_labels_permute_the_result(n, seed):
    spillover = random_spillover(n, seed)
    order = np.random.default_rng(seed).permutation(n)
    names = tuple(spillover.detectors[i] for i in order)
    permuted = Spillover(
        names, names, tuple(map(tuple, spillover.array()[np.ix_(order, order)].tolist()))
    )
    events = np.random.default_rng(seed + 1).normal(1000, 300, (5, n))
    np.testing.assert_allclose(
        events[:, order] @ unmixing(permuted), (events @ unmixing(spillover))[:, order], rtol=1e-9
    )


def test_more_detectors_than_fluorochromes_are_unmixed_by_least_squares():
    spectral = Spillover(("A", "B", "C"), ("x", "y"), ((1.0, 0.5, 0.1), (0.0, 0.4, 1.0)))
    true = np.array([[10.0, 20.0], [3.0, 0.0]])
    weights = unmixing(spectral)
    assert weights.shape == (3, 2)
    np.testing.assert_allclose(true @ spectral.array() @ weights, true, atol=1e-12)
    noisy = true @ spectral.array() + [[0.3, -0.2, 0.1], [0.0, 0.5, -0.4]]
    expected = np.linalg.lstsq(spectral.array().T, noisy.T, rcond=None)[0].T
    np.testing.assert_allclose(noisy @ weights, expected)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_flowutils(seed):
    flowutils = pytest.importorskip("flowutils")
    spillover = random_spillover(6, seed)
    events = np.random.default_rng(seed).normal(1000, 300, (50, 6))
    theirs = flowutils.compensate.compensate(events.copy(), spillover.array(), list(range(6)))
    np.testing.assert_allclose(events @ unmixing(spillover), theirs, rtol=1e-9)


def test_nearly_singular_is_refused():
    matrix = ((1.0, 1.0), (1.0, 1.0 + 1e-7))
    with pytest.raises(CompensationError, match=r"condition number .*PE, FITC look alike"):
        unmixing(Spillover(("PE", "FITC"), ("PE", "FITC"), matrix))


def test_singular_is_refused():
    with pytest.raises(CompensationError, match="of x cannot be inverted: condition number "):
        unmixing(Spillover(("A", "B"), ("A", "B"), ((1.0, 1.0), (1.0, 1.0)), "x"))


def test_facts():
    assert not TWO.is_identity
    assert Spillover(("A", "B"), ("A", "B"), ((1.0, 0.0), (0.0, 1.0))).is_identity
    assert Spillover(("A",), ("A",), ((1.0,),)).condition_number == 1.0
    assert pickle.loads(pickle.dumps(TWO)) == TWO


@pytest.mark.parametrize(
    ("detectors", "rows", "matrix", "message"),
    [
        ((), (), (), "it has no labels"),
        (("A", " "), ("A", "B"), ((1, 0), (0, 1)), "one of the detectors has no name"),
        (("A", "A"), ("A", "B"), ((1, 0), (0, 1)), "detectors named more than once: A"),
        (("A", "B"), ("B", "B"), ((1, 0), (0, 1)), "fluorochromes named more than once: B"),
        (("A", "B"), ("A", "B"), ((1, 0),), "2 fluorochromes × 2 detectors are labelled, but"),
        (("A", "B"), ("A", "B"), ((1,), (1,)), "it has 2 rows of 1 values"),
        (("A", "B"), ("A", "B"), ((1, float("nan")), (0, 1)), "value of A in B is not a finite"),
        (("A",), ("A", "B"), ((1,), (1,)), "2 fluorochromes cannot be told apart by 1"),
        (("A", "B"), ("A", "B"), ((1, 0), (1, 0)), "diagonal value of B is 0; it must be positive"),
    ],
)
def test_faults_are_named(detectors, rows, matrix, message):
    with pytest.raises(CompensationError, match=message):
        Spillover(detectors, rows, matrix, "here")


# --- labels


def test_detectors_are_matched_in_any_order():
    assert match_detectors(TWO, ["Time", "B", "FSC-A", "A"]) == (3, 1)


def test_missing_and_doubled_detectors_are_all_named():
    with pytest.raises(CompensationError) as caught:
        match_detectors(TWO, ["B", "B", "C"])
    assert "not in the file: A; more than once in the file: B" in str(caught.value)
    assert "The file's $PnN are B, B, C" in str(caught.value)
    assert caught.value.code == "compensation"


# --- keywords


def test_keyword_text_with_blanks_and_a_last_comma():
    spillover = spillover_from_keyword(" 2, PE-A ,FITC A,1, 0.25,0 , 1.0,", "$SPILLOVER")
    assert spillover == Spillover(
        ("PE-A", "FITC A"), ("PE-A", "FITC A"), ((1.0, 0.25), (0.0, 1.0)), "$SPILLOVER"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a count of parameters was expected, found ''"),
        ("PE,1", "a count of parameters was expected, found 'PE'"),
        ("2,A,B,1,0,0", "2 names and 4 values, 6 entries in all; found 5"),
        ("2,A,B,1,0,0,x", r"\$SPILL: 'x' is not a number"),
    ],
)
def test_keyword_faults(text, message):
    with pytest.raises(CompensationError, match=message):
        spillover_from_keyword(text, "$SPILL")


def test_the_first_keyword_with_a_matrix_wins():
    def text(x):
        return f"2,A,B,1,{x},0,1"

    keywords = {"SPILL": text(0.1), "$SPILLOVER": " ", "$SPILL": "0", "spillover": text(0.3)}
    found = spillover_of(keywords)
    assert found is not None
    assert (found.source, found.matrix[0][1]) == ("SPILLOVER", 0.3)
    assert spillover_of({"$COMP": "2,1,0,0,1", "$PAR": "2"}) is None


@pytest.mark.parametrize("dollar", ["$", ""])
def test_parameter_numbers_become_names(dollar):
    keywords = {f"{dollar}P1N": "FSC", f"{dollar}P2N": "FITC ", f"{dollar}P3N": "PE"}
    found = spillover_of({**keywords, "SPILL": "2,2,3,1,0.1,0,1"})
    assert found is not None
    assert found.detectors == ("FITC", "PE")
    # A parameter may be called by a number: then the names are names.
    found = spillover_of({**keywords, f"{dollar}P1N": "3", "SPILL": "2,2,3,1,0.1,0,1"})
    assert found is not None
    assert found.detectors == ("2", "3")


# --- CSV


@pytest.mark.parametrize(
    "text",
    [
        "A,B\n1,0.2\n0.1,1\n",
        "\ufeff,A :: CD14,B :: HLA-DR\nA :: CD14,1,0.2\nB :: HLA-DR,0.1,1\n",
        "fluorochrome;B;A\nA;0,2;1\nB;1;1e-1\n\n",
        "A\tB\t\n1,0\t,2\t\n0.1\t1\t\n",
        '"A","B"\n"B",0.1,1\n"A",1,0.2\n',
    ],
)
def test_layouts_of_a_table(tmp_path, text):
    path = tmp_path / "m.csv"
    path.write_text(text, encoding="utf-8")
    found = read_spillover_csv(path)
    rows = dict(zip(found.fluorochromes, found.matrix, strict=True))
    at = {name: i for i, name in enumerate(found.detectors)}
    assert found.detectors == found.fluorochromes
    assert {(f, d): rows[f][at[d]] for f in at for d in at} == {
        ("A", "A"): 1.0,
        ("A", "B"): 0.2,
        ("B", "A"): 0.1,
        ("B", "B"): 1.0,
    }
    assert found.source == "m.csv"


def test_row_labels_may_name_the_fluorochromes(tmp_path):
    path = tmp_path / "m.csv"
    path.write_bytes("dye,D1,D2,D3\nµ,1,0.1,0\nPE,0,1,0.2\n".encode("cp1252"))
    found = read_spillover_csv(path)
    assert (found.detectors, found.fluorochromes) == (("D1", "D2", "D3"), ("µ", "PE"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the matrix is empty"),
        ("1,0\n0,1\n", "has no header. Name each column's detector"),
        ("A,B\n", "a header, but no rows"),
        ("A,B\n1,0\n", "2 detectors are named, but there are 1 rows"),
        ("A,B\n1,0,0\n0,1,0\n", "row 1 has 3 values, the header names 2 detectors: A, B"),
        ("A,B\n1,x\n0,1\n", "row 1: 'x' is not a number"),
        (",A,B\nA,1,0\nC,0,1\n", "the rows are labelled A, C, the columns A, B"),
        (",A,B\nA,1,0\nA,0,1\n", "the rows are labelled A, A, the columns A, B"),
    ],
)
def test_table_faults_name_the_file(tmp_path, text, message):
    path = tmp_path / "m.csv"
    path.write_text(text)
    with pytest.raises(CompensationError, match=message) as caught:
        read_spillover_csv(path)
    assert caught.value.file == str(path)


def test_a_missing_table(tmp_path):
    with pytest.raises(CompensationError, match="cannot be read: No such file"):
        read_spillover_csv(tmp_path / "none.csv")


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_written_tables_read_back_to_the_last_bit(tmp_path_factory, n, seed):
    path = tmp_path_factory.mktemp("spillover") / "m.csv"
    spillover = random_spillover(n, seed)
    write_spillover_csv(spillover, path)
    found = read_spillover_csv(path)
    assert (found.detectors, found.matrix) == (spillover.detectors, spillover.matrix)


def test_written_tables_keep_commas_in_names(tmp_path):
    names = ("a,b", "c d")
    write_spillover_csv(Spillover(names, names, ((1.0, 0.0), (0.5, 1.0))), tmp_path / "m.csv")
    assert read_spillover_csv(tmp_path / "m.csv").detectors == names


# --- real files


def test_real_table_of_flowkit():
    found = read_spillover_csv(real_file("FlowKit/comp_complete_example.csv"))
    assert len(found.detectors) == 14
    assert found.matrix[0][1] == 0.2986
    assert not found.is_identity


def test_real_file_compensated_by_another_tool():
    raw = read_fcs(real_file("CytoPipeline/Donor1.fcs"))
    spillover = spillover_of(raw.keywords)
    assert spillover is not None
    before = np.genfromtxt(real_file("CytoPipeline/ff_m.csv"), delimiter=",", names=True)
    after = np.genfromtxt(real_file("CytoPipeline/ff_c.csv"), delimiter=",", names=True)
    with real_file("CytoPipeline/ff_m.csv").open() as file:
        header = file.readline().strip().split(",")
    columns = list(match_detectors(spillover, header))
    measured = np.array(before.tolist())[:, columns]
    expected = np.array(after.tolist())[:, columns]
    assert np.abs(measured @ unmixing(spillover) - expected).max() < 0.02


def test_gates_refuse_a_spectral_matrix():
    raw = read_fcs(real_file("gatingMLData/gml2/data1.fcs"))
    spectral = Spillover(("FL1-H", "FL2-H"), ("x",), ((1.0, 0.5),), "m.csv")
    plan = make_plan([Rectangle("a", "root", (Axis("FL1-H"),), (1.0,), (None,))])
    with pytest.raises(CompensationError, match=r"spectral matrix m\.csv unmixes x"):
        gate(raw, plan, spillover=spectral)
