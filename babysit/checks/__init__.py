"""The checks of the lecture, one module each; see `babysit.check` for what such a module holds."""
