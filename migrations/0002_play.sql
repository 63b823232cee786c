-- What the tower decides and does: games, moves, operations, and every hash it ever asserted.
-- As in 0001, every row takes the next value of the one counter, and rows are never deleted.

-- A game on the chain that somebody we watch plays.
CREATE TABLE game (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    rollup INTEGER NOT NULL REFERENCES rollup (seq),
    block INTEGER NOT NULL REFERENCES block (seq),
    level INTEGER NOT NULL,
    alice TEXT NOT NULL,
    bob TEXT NOT NULL,
    start_level INTEGER NOT NULL,
    inbox_level INTEGER NOT NULL,
    UNIQUE (rollup, alice, bob, start_level, inbox_level)
) STRICT;

-- A position of a game: it changes with every move. `content` is the game as the protocol encodes
-- it; the clocks are as of the last move.
CREATE TABLE game_position (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    game INTEGER NOT NULL REFERENCES game (seq),
    block INTEGER NOT NULL REFERENCES block (seq),
    level INTEGER NOT NULL,
    position BLOB NOT NULL CHECK (length(position) = 32),
    turn TEXT NOT NULL CHECK (turn IN ('alice', 'bob')),
    alice_left INTEGER NOT NULL,
    bob_left INTEGER NOT NULL,
    last_turn_level INTEGER NOT NULL,
    stage TEXT NOT NULL CHECK (stage IN ('dissecting', 'final move')),
    content BLOB NOT NULL,
    UNIQUE (game, position, last_turn_level)
) STRICT;

-- How a game that we saw ended, in a block of the chain.
CREATE TABLE game_end (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    game INTEGER NOT NULL REFERENCES game (seq),
    block INTEGER NOT NULL REFERENCES block (seq),
    level INTEGER NOT NULL,
    result TEXT NOT NULL CHECK (result IN ('loser', 'draw', 'gone')),
    loser TEXT,
    reason TEXT,
    UNIQUE (game, block)
) STRICT;

-- Our move in a position, verified here, before anything of it is sent. `refutation` is the move
-- as the protocol encodes it.
CREATE TABLE game_move (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    game INTEGER NOT NULL REFERENCES game (seq),
    position BLOB NOT NULL CHECK (length(position) = 32),
    kind TEXT NOT NULL CHECK (kind IN ('dissection', 'proof', 'none')),
    refutation BLOB,
    milliseconds INTEGER NOT NULL,
    detail TEXT NOT NULL,
    UNIQUE (game, position)
) STRICT;

-- Something wanted on the chain, or no longer wanted, and why.
CREATE TABLE decision (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    rollup INTEGER NOT NULL REFERENCES rollup (seq),
    block INTEGER NOT NULL REFERENCES block (seq),
    level INTEGER NOT NULL,
    verb TEXT NOT NULL CHECK (verb IN ('want', 'wait', 'drop')),
    what TEXT NOT NULL,
    reason TEXT NOT NULL,
    deadline INTEGER,
    slack INTEGER,
    mode TEXT NOT NULL,
    hold TEXT
) STRICT;

-- Whether we may stake on our own commitment.
CREATE TABLE consent (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    rollup INTEGER NOT NULL REFERENCES rollup (seq),
    block INTEGER NOT NULL REFERENCES block (seq),
    level INTEGER NOT NULL,
    commitment BLOB NOT NULL CHECK (length(commitment) = 32),
    consent TEXT NOT NULL CHECK (consent IN ('given', 'refused')),
    detail TEXT NOT NULL,
    UNIQUE (rollup, block, commitment, consent, detail)
) STRICT;

-- What is written down about our operations, in the order of things, as JSON: admitted, signed,
-- injected, included, final, replaced, refused. Enough to go on after a crash.
CREATE TABLE operation (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    step TEXT NOT NULL,
    hash BLOB CHECK (hash IS NULL OR length(hash) = 32),
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX operation_hash ON operation (hash) WHERE hash IS NOT NULL;

-- Every state hash ever asserted on the chain: about one point of one period there is one answer.
-- `period` is the block of its inbox level, which fixes all its messages; without a state the
-- machine was claimed to be stuck.
CREATE TABLE assertion (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    rollup INTEGER NOT NULL REFERENCES rollup (seq),
    period BLOB NOT NULL CHECK (length(period) = 32),
    parent BLOB NOT NULL CHECK (length(parent) = 32),
    level INTEGER NOT NULL,
    tick TEXT NOT NULL,
    state BLOB CHECK (state IS NULL OR length(state) = 32),
    UNIQUE (rollup, period, parent, tick)
) STRICT;

-- Sending was stopped, or let go on; of everything, or of one rollup.
CREATE TABLE hold (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    rollup INTEGER REFERENCES rollup (seq),
    hold TEXT NOT NULL CHECK (hold IN ('brake', 'contradiction', 'stand by')),
    state TEXT NOT NULL CHECK (state IN ('on', 'off')),
    reason TEXT NOT NULL
) STRICT;
