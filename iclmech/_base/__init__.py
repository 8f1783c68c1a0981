"""The ground floor: errors, seeds, site names, registries, results, provenance, safe files. It imports nothing of iclmech."""

from __future__ import annotations

from ._brief import readable as readable
from ._cells import Cells as Cells
from ._claims import Claim as Claim, Verdict as Verdict, by_each as by_each, by_interval as by_interval
from ._errors import (
    BackendError as BackendError,
    CaptureError as CaptureError,
    FileError as FileError,
    ICLMechError as ICLMechError,
    ICLMechWarning as ICLMechWarning,
    ModelError as ModelError,
    PromptError as PromptError,
    TaskError as TaskError,
    UpdateError as UpdateError,
)
from ._files import (
    atomic_write as atomic_write,
    from_ascii_json as from_ascii_json,
    refuse_overwrite as refuse_overwrite,
    to_ascii_json as to_ascii_json,
)
from ._formerly import Formerly as Formerly
from ._guard import Guard as Guard, interrupted as interrupted, remove_hook as remove_hook
from ._html import html_table as html_table, visible as visible
from ._out_directory import writable_directory as writable_directory
from ._progress import duration as duration, steps as steps, track as track
from ._provenance import digest as digest, provenance as provenance, tensor_digest as tensor_digest
from ._records import Measure as Measure, Update as Update
from ._registry import (
    REGISTRIES as REGISTRIES,
    Registry as Registry,
    register as register,
)
from ._result import Result as Result, load_result as load_result
from ._result_file import RESULT as RESULT
from ._run_directory import (
    CELLS as CELLS,
    LOCK as LOCK,
    BusyError as BusyError,
    claimed as claimed,
    is_claimed as is_claimed,
    owner_of as owner_of,
    publish as publish,
)
from ._seeds import np_rng as np_rng, rng as rng
from ._site_names import SITES as SITES, Site as Site, check_sites as check_sites
from ._targets import RegistryError as RegistryError, imported as imported, resolve as resolve
from ._tensor_file import (
    brief as brief,
    demand as demand,
    read_safetensors as read_safetensors,
    understanding as understanding,
    write_safetensors as write_safetensors,
)
from ._typed import typed as typed
