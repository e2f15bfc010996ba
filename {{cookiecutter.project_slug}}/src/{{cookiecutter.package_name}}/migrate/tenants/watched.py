"""Proxies that behave like an object and report each use of it."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple, TypeVar

Target = TypeVar("Target")

# Attributes that Python itself uses, and attributes that reveal nothing about the object.
_OF_EVERY_OBJECT = frozenset(dir(object)) | {
    "__annotations__",
    "__class_getitem__",
    "__del__",
    "__dict__",
    "__module__",
    "__orig_bases__",
    "__parameters__",
    "__slots__",
    "__weakref__",
}


class _Watch(NamedTuple):
    target: Any
    tell: Callable[[str], None]
    harmless: Mapping[str, Any]


def watched(
    target: Target, tell: Callable[[str], None], harmless: Mapping[str, Any] | None = None
) -> Target:
    """A proxy for ``target``: of the same class, and each use is reported first.

    All attributes that are not listed as harmless are reported, also those of new versions.

    Args:
        tell: called with the name of the used attribute: ``Connection.scalar``.
        harmless: values by name that the proxy returns without a report.
    """
    kind: Any = type(target)
    stand_in = _stand_in(kind)
    made = stand_in.__new__(stand_in)
    object.__setattr__(made, "_watch", _Watch(target, tell, harmless or {}))
    return made  # type: ignore[no-any-return]


@cache  # one class for each kind
def _stand_in(kind: Any) -> Any:
    # Operators and "with" are looked up on the class, so each needs a method of its own.
    special = [name for name in dir(kind) if name[:2] == "__" and name not in _OF_EVERY_OBJECT]
    return type(
        kind.__name__,
        (kind,),
        {name: _forward(name) for name in special}
        | {"__getattribute__": _get, "__setattr__": _set, "__delattr__": _delete},
    )


def _get(self: Any, name: str) -> Any:
    if name == "__class__":  # isinstance asks
        return type(self)
    watch: _Watch = object.__getattribute__(self, "_watch")
    if name in watch.harmless:
        return watch.harmless[name]
    return getattr(_tell(watch, name), name)


def _set(self: Any, name: str, value: Any) -> None:
    setattr(_tell(object.__getattribute__(self, "_watch"), name), name, value)


def _delete(self: Any, name: str) -> None:
    delattr(_tell(object.__getattribute__(self, "_watch"), name), name)


def _forward(name: str) -> Any:
    def method(self: Any, *arguments: Any) -> Any:
        target = _tell(object.__getattribute__(self, "_watch"), name)
        return getattr(target, name)(*arguments)

    return method


def _tell(watch: _Watch, name: str) -> Any:
    watch.tell(f"{type(watch.target).__name__}.{name}")
    return watch.target
