"""Where everything lies in the columns that the event kernel works on.

A service is five flat arrays, passed together to every function of the kernel (compiled code pays for each array and each
object it is handed, so there are few):

- ``s`` int64: header, then replica rows, then slots, queues and tables, at the offsets the header names;
- ``f`` float64: header, then replica rows, the tables of step seconds, and the tournament tree;
- ``q`` int32: one row of `Q_ROW` per request; ``t`` float64: one row of `T_ROW` per request, in seconds;
- ``p`` int64: n + 1 offsets, then the hash ids of leading prompt blocks of all requests (one 0 where there are none).

Names with ``R_`` are columns of a replica's row in ``s``, ``RF_`` of its row in ``f``, ``S_`` of a slot's row in ``s``.
"""

FOREVER = float("inf")

# ``q``: one request.
Q_INPUT = 0  # prompt tokens
Q_OUTPUT = 1  # answer tokens
Q_FOLLOWING = 2  # the next request of the same queue, -1 at its end
Q_MADE = 3  # answer tokens so far
Q_STATUS = 4  # see `Status`
Q_PREEMPTED = 5  # times its blocks were taken
Q_ADAPTER = 6  # LoRA adapter, -1 for the model itself
Q_ROW = 7

# ``t``: one request, seconds.
T_ARRIVAL = 0
T_TTFT = 1  # from arrival to the first token, -1 for none
T_E2E = 2  # from arrival to the last token, -1 for none
T_ROW = 3

# Header of ``s``: the engine, ...
MAX_NUM_SEQS = 0
MAX_NUM_BATCHED_TOKENS = 1
MAX_MODEL_LEN = 2
BLOCKS = 3
BLOCK_TOKENS = 4
CHUNKED_PREFILL = 5
RESERVE_FULL_PROMPT = 6
LOOKAHEAD = 7
PREFIX_BLOCK_TOKENS = 8  # 0 where requests have no hash ids
MAX_LORAS = 9  # adapters in one batch; 0 where requests name none
# ... the service, ...
REQUESTS = 10
NEXT = 11  # index of the next request to arrive
FILLED = 12  # requests whose arrival is known: all of an open loop, those sent so far of a closed one
CLOSED = 13  # 1 in a closed loop: an end sends the next request
HELD_HEAD = 14  # first request held in front of the replicas, -1 for none
HELD_TAIL = 15
HELD = 16  # how many
HOLD = 17  # 1 where something holds requests while no replica is ready (activator, interceptor, broker)
IN_FLIGHT_LIMIT = 18  # requests that one replica is given at once; what is beyond is held
LIVE = 19  # replicas that take requests
CANDIDATES = 20  # replica slots
POLICY = 21
ROBIN = 22  # round-robin counter
SEED = 23
# ... and where the parts begin.
AT_REPLICAS = 30
AT_LIVE = 31
AT_SLOTS = 32
AT_SLOT_FREE = 33  # stack of free slots of each replica
AT_FRESH = 34  # slots that get their first token at the end of the step
AT_FINISH = 35  # heap of ``iteration of the last token * SLOT_SPAN + slot``
AT_PHASES = 36  # decoding sequences by the iteration (modulo block size) at which they need a block
AT_TABLE = 37  # prefix cache: open addressing, rows of key (-1 free) and entry
AT_ENTRIES = 38  # prefix cache: rows of E_ROW
AT_ENTRY_FREE = 39  # stack of free entries of each replica
TABLE = 40  # places of one replica's table, a power of two
ENTRIES = 41  # entries of one replica
LEAVES = 42  # leaves of the tournament tree, a power of two
AT_LORA = 47  # adapter slots of each replica, rows of L_ROW (43 to 46 are offsets in ``f``, below)
HEADER = 48

# Replica rows of ``s``.
R_READY = 0
R_STEPS = 1  # alike steps under way; 0 when idle
R_MIXED = 2  # 1 while the step has prompt tokens
R_ITERATION = 3  # steps done since start
R_DECODING = 4  # sequences that make one token a step
R_CONTEXT = 5  # tokens that the next step's decoding sequences attend to
R_USED = 6  # KV blocks held by requests
R_RESIDENT = 7  # prefix-cache entries, held or not
R_HELD = 8  # those that requests hold
R_OLDEST = 9  # least recently used list of entries that nobody holds, -1 for none
R_NEWEST = 10
R_WAITING = 11
R_HEAD = 12  # first waiting request, -1 for none
R_TAIL = 13
R_RUNNING = 14  # slots in use
R_LAST = 15  # slot admitted last, -1 for none: the first to be preempted
R_PARTIAL = 16  # slot whose prompt is not yet computed in full, -1 for none
R_PARTIAL_DONE = 17  # its computed tokens
R_PARTIAL_BLOCKS = 18
R_FRESH = 19  # slots that get their first token at the end of the step
R_PREFILLED = 20  # prompt tokens computed since start
R_DECODED = 21  # answer tokens made since start
R_PREEMPTIONS = 22
R_HIT_TOKENS = 23  # prompt tokens taken from the prefix cache
R_QUERIED_TOKENS = 24  # prompt tokens looked up in it
R_PEAK = 25  # most blocks held at once
R_MOVES = 26  # events of the kernel, for benchmarks
R_ENDED = 27  # requests completed since start
R_CACHED = 28  # prompt tokens found in the prefix cache at the last admission
R_LORA_LOADS = 29  # adapters loaded since start
R_LORA_TURN = 30  # counts admissions with an adapter: who was used last
R_ROW = 32

# Slots of ``s``.
S_REQUEST = 0  # -1 for none
S_OLDER = 1  # slot admitted before, -1 for none
S_NEWER = 2
S_PHASE = 3
S_ORIGIN = 4  # computed tokens minus iteration, so that tokens = origin + iteration
S_SHARED = 5  # prefix-cache entries it holds
S_ROW = 6

# Entries of the prefix cache.
E_KEY = 0  # -1 for none
E_HOLDERS = 1  # requests that hold it
E_OLDER = 2
E_NEWER = 3
E_ROW = 4

# Adapter slots of ``s``.
L_ADAPTER = 0  # -1 for none
L_RUNNING = 1  # running requests that need it
L_USED = 2  # turn of its last admission
L_ROW = 3

# Header of ``f``.
KV_READ_S = 0
DECODE_SEQ_S = 1
PREFILL_PAIR_S = 2
PREFILL_CHUNK_S = 3
HOLD_TIMEOUT_S = 4  # how long a client waits while it is held
CLIENT_DELAY_S = 5  # closed loop: from the end of one request to the arrival of the next
LORA_LOAD_S = 6  # to bring one adapter into the GPU
F_HEADER = 8

# Offsets in ``f``, in the header of ``s``.
AT_REPLICA_SECONDS = 43
AT_DECODE = 44  # seconds of a step of n decoding sequences
AT_MIXED = 45  # seconds of a step of n tokens, some of them of prompts
AT_TREE = 46

# Replica rows of ``f``.
RF_BEGUN = 0  # start of the steps under way
RF_PREVIOUS = 1  # start of the step before them (FOREVER after a pause): what async scheduling could see
RF_FIRST = 2  # seconds of the first of the steps under way
RF_GROWTH = 3  # seconds that each is longer than the one before
RF_PACE = 4  # seconds a step takes per second of the model: 1, more on a starved node
RF_BUSY = 5  # seconds spent in steps since start
RF_ROW = 6

SLOT_SPAN = 8192
"""Slots that a heap key leaves room for; `max_num_seqs` is less."""

EMPTY, READY, DRAINING = 0, 1, 2

# How a request stands. All but PENDING are ends, and every request has exactly one.
PENDING = 0
COMPLETED = 1
TOO_LONG = 2  # the prompt leaves no room in max_model_len: HTTP 400
NO_REPLICA = 3  # no replica was ready and nothing holds requests: HTTP 503
TIMED_OUT = 4  # held in front of the replicas longer than its client waits
ABORTED = 5  # its replica died or was stopped before it ended
UNFINISHED = 6  # the simulation ended first
