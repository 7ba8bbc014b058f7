"""`dataclasses` at a later time: importing that, with what it imports, takes as long as the C API,
and making one class as long as importing another module.

A class becomes the dataclass that it is when its first object is made, or a function of
`dataclasses` looks at it.
"""

from __future__ import annotations

from _thread import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import replace as replace
else:

    def dataclass(**settings):
        """As `dataclasses.dataclass`."""

        def later(cls):
            def __init__(self, *args, **keywords):
                _finish(cls)
                self.__init__(*args, **keywords)

            def __setstate__(self, state):
                _finish(cls)
                vars(self).update(state)

            cls.__init__, cls.__setstate__, cls._settings = __init__, __setstate__, settings
            cls.__dataclass_fields__ = _Fields()
            return cls

        return later

    class field:
        """As `dataclasses.field`."""

        def __init__(self, **settings):
            self.settings = settings

    def replace(instance, **changes):
        """As `dataclasses.replace`."""
        import dataclasses

        return dataclasses.replace(instance, **changes)

    class _Fields:
        """Where functions of `dataclasses` look first."""

        def __get__(self, instance, owner):
            _finish(owner)
            return owner.__dataclass_fields__

    _lock = RLock()
    _LATE = ("__init__", "__setstate__", "__dataclass_fields__", "_settings")
    _LATE += ("__dict__", "__weakref__")
    _ONLY_INIT = {"repr": False, "eq": False, "order": False}

    def _finish(owner):
        """Make dataclasses of the bases of ``owner``, and of itself."""
        import dataclasses

        with _lock:
            for cls in reversed(owner.__mro__):
                if "_settings" in vars(cls):
                    for name, value in [*vars(cls).items()]:
                        if isinstance(value, field):
                            setattr(cls, name, dataclasses.field(**value.settings))
                    # Never without an __init__: other threads make objects meanwhile, and the
                    # late one has them wait here. So a copy of the class gets the real one.
                    own = {k: v for k, v in vars(cls).items() if k not in _LATE}
                    copy = type(cls)(cls.__name__, cls.__bases__, own)
                    made = dataclasses.dataclass(**cls._settings | _ONLY_INIT)(copy)
                    dataclasses.dataclass(**cls._settings | {"init": False})(cls)
                    made.__init__.__qualname__ = f"{cls.__qualname__}.__init__"
                    cls.__init__ = made.__init__
                    del cls.__setstate__, cls._settings
