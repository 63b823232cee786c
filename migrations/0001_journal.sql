-- The journal: what was seen, computed and concluded, in the order it was written.
-- Every row takes the next value of one counter shared by all tables (`seq`), so that the tables
-- together read as one record. `at` is milliseconds since 1970. Rows are never deleted; a block
-- that left the chain is marked.

CREATE TABLE run (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    version TEXT NOT NULL,
    command TEXT NOT NULL
) STRICT;

CREATE TABLE run_end (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    run INTEGER NOT NULL UNIQUE REFERENCES run (seq),
    outcome TEXT NOT NULL
) STRICT;

CREATE TABLE rollup (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    address BLOB NOT NULL UNIQUE CHECK (length(address) = 20),
    dialect TEXT NOT NULL CHECK (dialect IN ('modern', 'scr1')),
    chain BLOB NOT NULL CHECK (length(chain) = 4),
    origination_level INTEGER NOT NULL,
    genesis_commitment BLOB NOT NULL CHECK (length(genesis_commitment) = 32),
    genesis_state BLOB NOT NULL CHECK (length(genesis_state) = 32),
    kernel BLOB NOT NULL CHECK (length(kernel) = 32),
    protocol BLOB NOT NULL CHECK (length(protocol) = 32)
) STRICT;

CREATE TABLE block (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    level INTEGER NOT NULL,
    predecessor BLOB NOT NULL CHECK (length(predecessor) = 32),
    timestamp INTEGER NOT NULL,
    protocol BLOB NOT NULL CHECK (length(protocol) = 32),
    period INTEGER NOT NULL CHECK (period > 0),
    opens_protocol INTEGER NOT NULL CHECK (opens_protocol IN (0, 1)),
    reverted INTEGER NOT NULL DEFAULT 0 CHECK (reverted IN (0, 1))
) STRICT;

-- One block per level on the chain in force: a replacement must mark the old one first.
CREATE UNIQUE INDEX block_in_force ON block (level) WHERE reverted = 0;

CREATE INDEX block_opens_protocol ON block (level) WHERE opens_protocol = 1;

CREATE TABLE reorganisation (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    fork_level INTEGER NOT NULL,
    fork BLOB NOT NULL CHECK (length(fork) = 32),
    old_head BLOB NOT NULL CHECK (length(old_head) = 32),
    old_level INTEGER NOT NULL
) STRICT;

CREATE TABLE inbox (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    block INTEGER NOT NULL UNIQUE REFERENCES block (seq),
    level INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    cell BLOB NOT NULL,
    messages INTEGER NOT NULL,
    content BLOB NOT NULL,
    node_hash BLOB CHECK (node_hash IS NULL OR length(node_hash) = 32)
) STRICT;

CREATE INDEX inbox_mismatch ON inbox (level) WHERE node_hash <> hash;

CREATE TABLE state (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    rollup INTEGER NOT NULL REFERENCES rollup (seq),
    block INTEGER NOT NULL REFERENCES block (seq),
    level INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    ticks INTEGER NOT NULL CHECK (ticks >= 0),
    status TEXT NOT NULL,
    edges TEXT NOT NULL,
    UNIQUE (rollup, block)
) STRICT;

-- Levels at which the true state could not be known, with the reason at that time.
CREATE TABLE unknown_state (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    rollup INTEGER NOT NULL REFERENCES rollup (seq),
    block INTEGER NOT NULL REFERENCES block (seq),
    level INTEGER NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    UNIQUE (rollup, block, reason, detail)
) STRICT;

CREATE TABLE commitment (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    rollup INTEGER NOT NULL REFERENCES rollup (seq),
    block INTEGER NOT NULL REFERENCES block (seq),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    level INTEGER NOT NULL,
    state BLOB NOT NULL CHECK (length(state) = 32),
    predecessor BLOB NOT NULL CHECK (length(predecessor) = 32),
    ticks INTEGER NOT NULL,
    UNIQUE (rollup, block)
) STRICT;

-- What stakers published; without a block when the node's storage told us at start-up.
CREATE TABLE published (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    rollup INTEGER NOT NULL REFERENCES rollup (seq),
    block INTEGER REFERENCES block (seq),
    published_level INTEGER,
    position INTEGER NOT NULL,
    staker TEXT NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    level INTEGER NOT NULL,
    state BLOB NOT NULL CHECK (length(state) = 32),
    predecessor BLOB NOT NULL CHECK (length(predecessor) = 32),
    ticks INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX published_once ON published (rollup, hash, staker, ifnull(block, 0));

-- Other operations on a watched rollup: cement, refute, timeout, recover_bond, execute.
CREATE TABLE rollup_operation (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    rollup INTEGER NOT NULL REFERENCES rollup (seq),
    block INTEGER NOT NULL REFERENCES block (seq),
    level INTEGER NOT NULL,
    position INTEGER NOT NULL,
    kind TEXT NOT NULL,
    source TEXT NOT NULL,
    detail TEXT NOT NULL,
    UNIQUE (rollup, block, position)
) STRICT;

CREATE TABLE verdict (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    rollup INTEGER NOT NULL REFERENCES rollup (seq),
    block INTEGER REFERENCES block (seq),
    commitment BLOB NOT NULL CHECK (length(commitment) = 32),
    level INTEGER NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('true', 'false', 'not judgeable')),
    field TEXT,
    claimed TEXT,
    computed TEXT,
    reason TEXT,
    detail TEXT
) STRICT;

CREATE INDEX verdict_commitment ON verdict (rollup, commitment);

CREATE TABLE conflict (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    rollup INTEGER NOT NULL REFERENCES rollup (seq),
    block INTEGER NOT NULL REFERENCES block (seq),
    level INTEGER NOT NULL,
    parent BLOB NOT NULL CHECK (length(parent) = 32),
    staker TEXT NOT NULL,
    commitment BLOB NOT NULL CHECK (length(commitment) = 32),
    other_staker TEXT NOT NULL,
    other_commitment BLOB NOT NULL CHECK (length(other_commitment) = 32),
    UNIQUE (rollup, block, staker, commitment, other_staker, other_commitment)
) STRICT;

CREATE TABLE alarm (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    rollup INTEGER REFERENCES rollup (seq),
    level INTEGER,
    severity TEXT NOT NULL CHECK (severity IN ('notice', 'warning', 'critical')),
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    message TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX alarm_once ON alarm (kind, ifnull(rollup, 0), subject);
