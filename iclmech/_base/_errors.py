"""One root class for every error, and one for every warning, that iclmech raises on purpose."""

from __future__ import annotations


class ICLMechError(Exception):
    """Root of all errors raised by iclmech. The text says what was got, what was expected and how to mend it."""


class ModelError(ICLMechError):
    """A model cannot be loaded, or a loaded one cannot be used in the way that was asked for."""


class BackendError(ModelError):
    """The self-check at construction found that no way of obtaining something is right on this model."""


class TaskError(ICLMechError, ValueError):
    """A task, a record or a template is not usable."""


class PromptError(ICLMechError, ValueError):
    """Prompts cannot be built from this task for this model."""


class CaptureError(ICLMechError, ValueError):
    """A capture was asked for something that the model, the site or the prompts do not have."""


class UpdateError(ICLMechError, ValueError):
    """A weight update cannot be computed or applied."""


class FileError(ICLMechError):
    """A file is missing, is of a newer schema, is damaged or stands in the way."""


class ICLMechWarning(UserWarning):
    """Something was changed or left out on the way to a result, and the user should know."""
