"""The exported program: equal to the generator, of any batch, of sides that divide."""

import zipfile
from pathlib import Path

import pytest
import torch

import pct
from pct.export import export_generator
from pct.networks import Generator
from tests.tiny import tiny_run

FOUR_LEVELS = {"channels": [4, 8, 8, 16], "num_res_units": 1}


def generator_of(**settings) -> Generator:
    torch.manual_seed(5)
    generator = Generator(tiny_run(generator=settings).generator)
    generator(torch.rand(4, 1, 32, 32))  # moves the running statistics of batch norm
    return generator.eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "data" / "model.pt2"
    generator = generator_of(**FOUR_LEVELS)
    export_generator(generator, path)
    assert [p.name for p in path.parent.iterdir()] == ["model.pt2"]
    return generator, torch.export.load(path).module()


@pytest.mark.parametrize(
    "shape", [(1, 64, 80), (5, 64, 80), (1, 256, 256), (2, 16, 16), (3, 24, 40)]
)
def test_the_program_equals_the_generator_bit_for_bit_on_any_batch_and_size(exported, shape):
    generator, program = exported
    mr = torch.rand(shape[0], 1, *shape[1:]) * 2 - 1
    with torch.no_grad():
        assert torch.equal(program(mr), generator(mr))


def test_the_file_tells_nothing_of_the_machine_that_made_it(tmp_path):
    generator = generator_of(**FOUR_LEVELS)
    export_generator(generator, tmp_path / "model.pt2")
    with zipfile.ZipFile(tmp_path / "model.pt2") as archive:
        names = archive.namelist()
        content = b"".join(archive.read(name) for name in names)
    assert any(name.endswith("models/model.json") for name in names)
    assert not [name for name in names if "tmp" in name]
    for folder in (pct.__file__, torch.__file__, str(tmp_path)):
        assert str(Path(folder).parent).encode() not in content


@pytest.mark.parametrize(
    ("shape", "said"),
    [((1, 1, 60, 64), r"size\(\)\[2\] % 8"), ((1, 1, 64, 60), r"size\(\)\[3\] % 8"),
     ((1, 1, 8, 64), r"size\(\)\[2\]"), ((1, 2, 64, 64), r"size\(\)\[1\] == 1")],
)  # fmt: skip
def test_the_program_itself_refuses_a_side_that_does_not_divide(exported, shape, said):
    with pytest.raises(AssertionError, match=rf"Guard failed.*{said}"):
        exported[1](torch.zeros(shape))


@pytest.mark.parametrize(
    "settings",
    [{"norm": "instance", "head": "raw"},
     {"kind": "attention_unet", "channels": [4, 8, 16, 32], "num_res_units": 0}],
)  # fmt: skip
def test_other_kinds_of_generator_are_exported_too(tmp_path, settings):
    generator = generator_of(**settings)
    export_generator(generator, tmp_path / "net.pt2")
    mr = torch.rand(3, 1, 32, 48) * 2 - 1
    with torch.no_grad():
        program = torch.export.load(tmp_path / "net.pt2").module()
        assert torch.equal(program(mr), generator(mr))
