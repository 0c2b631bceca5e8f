"""The generator as a program without Python, by `torch.export`: a .pt2 file."""

import io
from pathlib import Path

import torch
from torch.export import Dim, export, save

from data_prep.atomic import renamed
from pct.networks import Generator


def export_generator(generator: Generator, path: Path) -> None:
    """Write what `generator` does in evaluation mode on the CPU: (n, 1, y, x) to the same shape.

    Batches are of any size. Sides are multiples of the total stride, two of it at the least; the
    program itself refuses others, by a guard that names the axis. `Generator` pads such slices
    with air: a caller of the program does that himself. Its output equals the generator's bit for
    bit.
    """
    step = generator.stride
    sides = {2: step * Dim("rows"), 3: step * Dim("columns")}
    # Sizes that are 1, or alike, would be taken for constants.
    example = torch.zeros(2, 1, 3 * step, 5 * step)
    with torch.no_grad():
        program = export(
            generator.cpu().eval(), (example,), dynamic_shapes=({0: Dim("batch"), **sides},)
        )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names folders of this machine
    content = io.BytesIO()
    save(program, content)  # to a file, torch would write the temporary name into it
    with renamed(path) as temporary:
        temporary.write_bytes(content.getvalue())
