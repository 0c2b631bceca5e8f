import numpy as np
import pytest
from looks_folder import EPOCHS, PIXEL_MM, SHAPE, draw_head, predict, write_looks

from dashboards.pictures.looks import BadLooks, kept_epochs, read_cases, read_pct


@pytest.fixture
def folder(tmp_path):
    write_looks(tmp_path)
    return tmp_path


def rewrite(path, **changes):
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files} | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


def test_the_slices_are_read_as_they_were_kept(folder):
    looks = read_cases(folder)
    assert list(looks) == ["p01", "p02", "p03"]
    mr, ct_hu, head = draw_head(1)
    second = looks["p02"]
    assert (second.pixel_mm, second.z, second.ct_hu.shape) == (PIXEL_MM, 12, SHAPE)
    assert (second.ct_hu == ct_hu).all()
    assert (second.head == head).all()
    assert np.allclose(second.mr, mr)


def test_a_pseudo_ct_is_read_by_epoch_or_from_the_best_checkpoint(folder):
    look = read_cases(folder)["p01"]
    early, best = (read_pct(folder, "never", look, epoch=epoch) for epoch in (1, None))
    assert (early == predict(look.ct_hu, epoch=1, trial="never")).all()
    assert (best == predict(look.ct_hu, epoch=6, trial="never")).all()
    assert kept_epochs(folder, "never") == EPOCHS


def test_what_was_not_kept_is_simply_not_there(folder, tmp_path_factory):
    look = read_cases(folder)["p01"]
    assert read_pct(folder, "never", look, epoch=2) is None
    assert read_pct(folder, "failed", look, epoch=None) is None
    assert kept_epochs(folder, "failed") == ()
    assert read_cases(tmp_path_factory.mktemp("older")) == {}


def test_a_damaged_file_is_named_and_what_to_do_with_it(folder):
    look = read_cases(folder)["p01"]
    (folder / "looks/never/best.npz").write_bytes(b"PK\x03\x04 half")
    with pytest.raises(BadLooks, match=r"best\.npz cannot be used: .*Move it away"):
        read_pct(folder, "never", look, epoch=None)
    (folder / "looks/cases.npz").write_text("gone")
    with pytest.raises(BadLooks, match=r"cases\.npz cannot be used"):
        read_cases(folder)


def test_no_pickle_in_a_file_of_slices_is_opened(folder):
    rewrite(folder / "looks/never/best.npz", p01=np.array([{"evil": 1}], object))
    with pytest.raises(BadLooks, match="allow_pickle"):
        read_pct(folder, "never", read_cases(folder)["p01"], epoch=None)


def test_slices_of_another_shape_are_refused(folder):
    rewrite(folder / "looks/never/best.npz", p01=np.zeros((8, 8), np.int16))
    with pytest.raises(BadLooks, match=r"p01 is \(8, 8\), its CT \(64, 56\)"):
        read_pct(folder, "never", read_cases(folder)["p01"], epoch=None)
    rewrite(folder / "looks/cases.npz", **{"p02/head": np.zeros((8, 8), bool)})
    with pytest.raises(BadLooks, match=r"case p02: MR \(64, 56\), CT \(64, 56\), head \(8, 8\)"):
        read_cases(folder)


def test_a_case_that_lacks_an_array_is_named(folder):
    rewrite(folder / "looks/cases.npz", **{"p03/pixel_mm": None})
    with pytest.raises(BadLooks, match="case p03 lacks pixel_mm"):
        read_cases(folder)
