"""Rules on what an entry may reach outside its own computation: files, environment, network, time, processes."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable, Iterable

from harness.check.findings import Hit, source_rule
from harness.check.opened import OPENERS, is_an_open_file, is_in_memory, is_read_only, is_written_out, writes
from harness.check.optional import is_asked_for, is_guarded, uses_guarded
from harness.check.own_paths import is_beside_the_source
from harness.check.paths import paths_of
from harness.check.reports import is_clock_only_reported
from harness.check.source import Source, matches, usual_name, words

_LAUNCHER_VARIABLES = frozenset({"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"})
"""A distributed launcher's own: entries read them to find their place, and the harness clears them."""


@dataclasses.dataclass(frozen=True)
class Access:
    """What one rule forbids.

    Attributes:
      names: full paths of functions and modules; ``a.*`` is everything below ``a``.
      methods: method names that can mean nothing else, whatever the object.
      of_paths: method names that count where the object is one of pathlib's.
      of_objects: classes, and methods that count where the object is made by one of them.
      imports: modules whose import alone breaks the rule.
      allowed: uses that do not count.
    """

    names: frozenset[str]
    methods: frozenset[str] = frozenset()
    of_paths: frozenset[str] = frozenset()
    of_objects: tuple[tuple[frozenset[str], frozenset[str]], ...] = ()
    imports: frozenset[str] = frozenset()
    allowed: Callable[[Source, ast.AST], bool] = lambda source, node: False


def _is_launcher_variable(source: Source, node: ast.AST) -> bool:
    """``os.environ["RANK"]``, ``os.environ.get("RANK", ...)``, ``os.getenv("RANK")``, ``"RANK" in os.environ``."""
    parent = source.parents.get(node)
    if isinstance(parent, ast.Attribute):
        parent = source.parents.get(parent)
    key: ast.AST | None = None
    if isinstance(parent, ast.Call) and parent.args:
        key = parent.args[0]
    elif isinstance(parent, ast.Subscript) and isinstance(parent.ctx, ast.Load):
        key = parent.slice
    elif isinstance(parent, ast.Compare):
        key = parent.left
    return isinstance(key, ast.Constant) and key.value in _LAUNCHER_VARIABLES


def _names_no_address(source: Source, node: ast.AST) -> bool:
    """``init_process_group("nccl")``, which a trial makes a group of one; not one that names where to connect."""
    call = source.parents.get(node)
    if source.dotted(node) != "torch.distributed.init_process_group" or not isinstance(call, ast.Call):
        return False
    given = [*call.args[1:2], *(k.value for k in call.keywords if k.arg == "init_method")]
    texts = [value.value for each in given for value in source.constant_values(each) if isinstance(value, ast.Constant)]
    return not any(str(text).startswith("tcp://") for text in texts)


def _is_its_own_module(source: Source, node: ast.AST) -> bool:
    """``sys.modules[__name__]``, and asking whether a module is there that is named and not the benchmark's."""
    match source.parents.get(node):
        case ast.Subscript(slice=ast.Name(id="__name__")) | ast.Compare(left=ast.Name(id="__name__")):
            return True
        case ast.Compare(left=ast.Constant(value=str(name)), ops=[ast.In() | ast.NotIn()]):
            return not _BENCHMARK & set(name.split("."))
        case ast.Call(args=[ast.Name(id="__name__"), *_]):
            return source.dotted(node) == "sys.modules.get"
    return False


_LOOK_UPS = words("builtins.getattr builtins.vars")
_LOADS = words("pickle.loads dill.loads cloudpickle.loads")
_TELLING = words("""
    time os sys builtins subprocess threading multiprocessing signal importlib ctypes socket datetime gc inspect io
    shutil platform sysconfig""")
"""Modules of which most rules forbid something: what is taken out of them has a name in the source."""


def _says_what_it_does(source: Source, node: ast.AST) -> bool:
    """Its own module; a look-up in another module than those above; unpickling of what was made in the trial."""
    path, call = source.dotted(node), source.parents.get(node)
    first = call.args[0] if isinstance(call, ast.Call) and call.func is node and call.args else None
    if path in _LOOK_UPS:
        return first is None or source.dotted(first) not in _TELLING
    if path in _LOADS:
        return first is None or not is_written_out(source, first)
    return _is_its_own_module(source, node) or _asks_for_a_package(source, node)


def _asks_for_a_package(source: Source, node: ast.AST) -> bool:
    """``importlib.util.find_spec("jax") is not None``, of a package that is named and not the benchmark's."""
    call = source.parents.get(node)
    match call:
        case ast.Call(args=[ast.Constant(value=str(name))], keywords=[]) if call.func is node:
            named = source.dotted(node) == "importlib.util.find_spec" and not _BENCHMARK & set(name.split("."))
            return named and is_asked_for(source, call)
    return False


_BENCHMARK = words("harness workloads scoring results")
"""Packages that an entry finds loaded or not according to the workload that it is on."""


def _is_without_a_limit(source: Source, node: ast.AST) -> bool:
    """``queue.get()`` of a queue that holds something comes back at once, and so does ``acquire()`` of a lock that is
    free; ``queue.get(timeout=1)`` expects to wait."""
    call = source.parents.get(node)
    if getattr(node, "attr", "") not in ("get", "put", "acquire") or not isinstance(call, ast.Call):
        return False
    return len(call.args) < 2 and all(keyword.arg not in ("timeout", None) for keyword in call.keywords)


_COUNTS = words("os.cpu_count os.process_cpu_count multiprocessing.cpu_count torch.multiprocessing.cpu_count")


def _starts_none(source: Source, node: ast.AST) -> bool:
    """``multiprocessing.cpu_count()``, and ``DataLoader(data)``, which has no workers unless it is told to."""
    if source.dotted(node) != "torch.utils.data.DataLoader":
        return source.dotted(node) in _COUNTS
    call = source.parents.get(node)
    given = [k.value for k in call.keywords if k.arg == "num_workers"] if isinstance(call, ast.Call) else []
    return all(isinstance(value, ast.Constant) and value.value == 0 for value in given)


_EVENTS = words("threading.Event threading.Condition threading.Barrier")
_QUEUES = words("queue.Queue queue.LifoQueue queue.PriorityQueue queue.SimpleQueue")
_LOCKS = words("threading.Lock threading.RLock threading.Semaphore threading.BoundedSemaphore")
_PARSERS = words("configparser.ConfigParser configparser.RawConfigParser configparser.SafeConfigParser")
_READ = OPENERS | words("""
    io.FileIO io.open_code os.open os.fdopen os.read os.listdir os.scandir os.walk os.stat os.lstat os.statvfs os.access
    os.readlink os.path.exists os.path.lexists os.path.isfile os.path.isdir os.path.getsize os.path.getmtime
    os.path.getctime os.path.getatime builtins.input sys.stdin sys.stdin.*
    glob.glob glob.iglob
    numpy.load numpy.loadtxt numpy.genfromtxt numpy.fromfile numpy.memmap numpy.lib.format.open_memmap numpy.DataSource
    jax.numpy.load torch.load torch.from_file torch.UntypedStorage.from_file
    safetensors.safe_open safetensors.torch.load_file safetensors.numpy.load_file safetensors.flax.load_file
    torch.jit.load scipy.io.* h5py.* sqlite3.* shelve.* dbm.* mmap.mmap linecache.* fileinput.*
    pandas.read_csv pandas.read_json pandas.read_parquet pandas.read_pickle
    sklearn.datasets.* torchvision.datasets.* tensorflow_datasets.* datasets.* importlib.resources.* pkgutil.get_data
    flax.training.checkpoints.* orbax.*""")
_WRITE = words("""
    os.write os.remove os.unlink os.rename os.replace os.mkdir os.makedirs os.rmdir os.removedirs os.symlink os.link
    os.truncate shutil.* tempfile.* logging.FileHandler logging.basicConfig
    logging.handlers.RotatingFileHandler logging.handlers.TimedRotatingFileHandler logging.handlers.WatchedFileHandler
    torch.distributed.FileStore jax.profiler.start_trace jax.profiler.trace
    torch.utils.tensorboard.SummaryWriter tensorboardX.SummaryWriter
    numpy.save numpy.savez numpy.savez_compressed numpy.savetxt jax.numpy.save torch.save torch.jit.save""")

ACCESS: tuple[tuple[str, str, str, Access], ...] = (
    (
        "reads-files",
        "reads no files, but those of its own folder that it finds by `__file__` or as resources of `__package__` "
        "(also through a helper that is only given such paths)",
        "put the values into the source, or into a file of the entry's folder that is opened by a path from __file__",
        Access(
            _READ,
            words("read_text read_bytes iterdir rglob"),
            of_paths=words("open glob exists is_file is_dir stat lstat samefile owner readlink"),
            of_objects=((_PARSERS, words("read")),),
            allowed=lambda s, n: (
                writes(s, n) or is_an_open_file(s, n) or is_in_memory(s, n) or is_beside_the_source(s, n)
            ),
        ),
    ),
    (
        "writes-files",
        "writes, moves and deletes no files",
        "keep state in optimizer_state; measurements go to workload.metrics_logger",
        Access(
            _WRITE | OPENERS,
            words("write_text write_bytes mkdir unlink rmdir tofile to_csv to_pickle to_parquet savefig"),
            of_paths=words("open touch rename replace chmod symlink_to hardlink_to"),
            allowed=lambda s, n: is_read_only(s, n) or is_in_memory(s, n),
        ),
    ),
    (
        "environment",
        "neither reads nor sets environment variables, except those of a distributed launcher, and asks nothing else "
        "of the machine (its cores, the home folder, the command line)",
        "make it a hyperparameter or a constant of the source",
        Access(
            _COUNTS
            | words("""os.environ os.environ.* os.environb os.getenv os.getenvb os.putenv os.unsetenv platform.*
            socket.gethostname os.uname os.getlogin os.getpid os.getppid os.getuid os.getloadavg
            os.sched_getaffinity pwd.* grp.* sys.orig_argv getpass.* os.path.expanduser
            os.path.expandvars pathlib.Path.home sys.argv sysconfig.* distutils.sysconfig.* site.getsitepackages
            site.getuserbase site.getusersitepackages"""),
            allowed=_is_launcher_variable,
        ),
    ),
    (
        "network",
        "opens no connection",
        "bring what it needs in the entry's folder",
        Access(
            words("""jax.distributed.initialize torch.hub.* torch.utils.model_zoo.* torch.distributed.rpc.*
            torch.distributed.TCPStore jax.profiler.start_server
            logging.handlers.SocketHandler logging.handlers.DatagramHandler logging.handlers.SysLogHandler
            logging.handlers.HTTPHandler logging.handlers.SMTPHandler huggingface_hub.* transformers.* wandb.*
            torch.distributed.init_process_group"""),
            imports=words("""socket socketserver ssl urllib http requests httpx aiohttp ftplib smtplib poplib imaplib
            telnetlib xmlrpc websockets urllib3 paramiko boto3 wandb mlflow huggingface_hub grpc zmq webbrowser
            pip ensurepip"""),
            allowed=_names_no_address,
        ),
    ),
    (
        "sleeps",
        "does not wait for time to pass",
        "remove it; only work moves a trial on",
        Access(
            words("""time.sleep asyncio.sleep signal.pause signal.alarm signal.setitimer signal.sigwait
            signal.sigwaitinfo signal.sigtimedwait select.* sched.* torch.cuda._sleep"""),
            of_objects=(
                (_EVENTS, words("wait wait_for")),
                (_QUEUES, words("get put")),
                (_LOCKS, words("acquire")),
            ),
            allowed=_is_without_a_limit,
        ),
    ),
    (
        "threads",
        "starts no threads or processes of its own",
        "do the work in update_params, in the thread that calls it",
        Access(
            words("""
            threading.Thread threading.Timer _thread.* multiprocessing.* concurrent.futures.* concurrent.* asyncio.*
            subprocess.* joblib.* torch.multiprocessing.* torch.futures.* os.fork os.forkpty os.system os.popen
            os.posix_spawn os.posix_spawnp os.spawnl os.spawnle os.spawnlp os.spawnlpe os.spawnv os.spawnve os.spawnvp
            os.spawnvpe os.execl os.execle os.execlp os.execlpe os.execv os.execve os.execvp os.execvpe pty.* os.kill
            os._exit os.abort signal.signal signal.raise_signal atexit.register faulthandler.dump_traceback_later
            torch.distributed.HashStore torch.utils.data.DataLoader torch.jit.fork"""),
            imports=words("ray dask"),
            allowed=_starts_none,
        ),
    ),
    (
        "clock",
        "does not read a clock, but to report a time in a log line",
        "use global_step and workload.step_hint; the harness keeps the time (one that only a log line tells is fine)",
        Access(
            words("""
            time.time time.time_ns time.perf_counter time.perf_counter_ns time.monotonic time.monotonic_ns
            time.process_time time.process_time_ns time.thread_time time.thread_time_ns time.clock_gettime
            time.clock_gettime_ns time.localtime time.gmtime
            time.ctime time.strftime datetime.datetime.now datetime.datetime.utcnow datetime.datetime.today
            datetime.date.today timeit.* resource.getrusage psutil.* os.times torch.cuda.Event torch.utils.benchmark.*
            pandas.Timestamp.now pandas.Timestamp.today pandas.Timestamp.utcnow logging.makeLogRecord"""),
            allowed=is_clock_only_reported,
        ),
    ),
    (
        "hidden-code",
        "says in its source what it does: no code made from text, no import by a computed name",
        "write the code out, and import by an import statement",
        Access(
            _LOOK_UPS
            | _LOADS
            | {f"{module}.__dict__" for module in _TELLING}
            | words("""
            builtins.exec builtins.eval builtins.compile builtins.__import__ builtins.globals
            builtins.__loader__ builtins.__builtins__ types.FunctionType types.CodeType numpy.ctypeslib.*
            torch.ops.load_library torch.classes.load_library torch.utils.cpp_extension.load_inline
            torch.utils.cpp_extension.load torch._C._aoti.* torch._C._nativert.* torch._inductor.aoti_load_package
            torch._inductor.package.* torch._export.aot_load
            importlib.import_module importlib.reload importlib.util.* importlib.machinery.* runpy.* marshal.*
            code.* ctypes.* sys.modules sys.modules.* sys.settrace sys.setprofile sys._getframe inspect.currentframe
            inspect.stack gc.get_objects gc.get_referrers gc.get_referents torch.jit.CompilationUnit"""),
            imports=words("_ctypes cffi"),
            allowed=_says_what_it_does,
        ),
    ),
    (
        "introspection",
        "looks into no functions, frames and objects of other code",
        "use what the arguments offer",
        Access(
            words("""inspect.getfile inspect.getsourcefile inspect.getmodule inspect.getmodulename inspect.getsource
            inspect.getsourcelines inspect.getmembers inspect.getmembers_static inspect.getattr_static
            inspect.getclosurevars inspect.getouterframes inspect.getinnerframes inspect.trace"""),
            words("""__self__ __func__ __closure__ __code__ cell_contents __globals__ tb_frame f_back f_locals f_globals
            gi_frame cr_frame __subclasses__ __mro__"""),
        ),
    ),
)
"""(rule, what an entry must do, how to mend it, what is forbidden)."""


def _breaches(source: Source, access: Access) -> Iterable[Hit]:
    for used, path in source.references:
        if isinstance(getattr(used, "ctx", None), ast.Store):
            continue  # the rule "patches" speaks of it
        optional = _is_in(path, access.imports) and uses_guarded(source, used)
        if source.is_own(path) or not (optional or matches(path, access.names)):
            continue
        if not (optional and is_asked_for(source, used)) and not access.allowed(source, used):
            yield used, f"uses {path.removeprefix('builtins.')}"
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and _is_method(source, node, access):
            if not access.allowed(source, node):
                yield node, f"uses .{node.attr}"
        elif is_guarded(source, node):
            continue
        elif isinstance(node, ast.Import):
            found = [a.name for a in node.names if _is_in(a.name, access.imports)]
            yield from ((node, f"imports {name}") for name in found)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield from [(node, f"imports {node.module}")] * _is_in(node.module, access.imports)


def _is_in(module: str, packages: frozenset[str]) -> bool:
    return usual_name(module).partition(".")[0] in packages


def _is_method(source: Source, node: ast.Attribute, access: Access) -> bool:
    """Whether an attribute is one of the methods that a rule speaks of."""
    path = source.dotted(node)
    if path is not None:  # of an imported object: of a path that another file of the entry defines
        methods = access.methods | access.of_paths
        return source.is_own(path) and node.attr in methods and paths_of(source).is_path(node.value)
    if node.attr in access.methods or (node.attr in access.of_paths and paths_of(source).is_path(node.value)):
        return True
    return any(node.attr in methods and source.is_made_by(node.value, makers) for makers, methods in access.of_objects)


def _add(name: str, summary: str, mend: str, access: Access) -> None:
    source_rule(name, "error", summary, mend)(lambda source: _breaches(source, access))


for _row in ACCESS:
    _add(*_row)
