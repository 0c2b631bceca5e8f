"""Reading a whole store again: which stages are not what was committed."""

from collections.abc import Iterator

from sweeps.store.store import Damaged, Missing, Store


def verify(store: Store) -> Iterator[tuple[str, Damaged | None]]:
    """Every committed key, and what is wrong with it. One dropped meanwhile is left out."""
    for key in list(store.keys()):
        try:
            store.get_all(key)
        except Missing:
            continue
        except Damaged as error:
            yield key, error
        else:
            yield key, None
