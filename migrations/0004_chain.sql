-- What hangs on blocks and rollups beside the record of events: these rows take no number of their
-- own.

-- Constants that a kernel can see, in force after a block; written where first seen or changed. The
-- DAL columns are empty where the chain has none; a level is empty where a reveal is not allowed.
CREATE TABLE chain_constants (
    block INTEGER PRIMARY KEY REFERENCES block (seq),
    dal_slots INTEGER,
    dal_lag INTEGER,
    dal_slot_size INTEGER,
    dal_page_size INTEGER,
    preimages_from INTEGER,
    metadata_from INTEGER,
    dal_pages_from INTEGER,
    dal_parameters_from INTEGER
) STRICT;

-- A rollup that came under watch after its origination: operations on it are read up to `level`;
-- it is watched like the others once that is `goal`.
CREATE TABLE backfill (
    rollup INTEGER PRIMARY KEY REFERENCES rollup (seq),
    level INTEGER NOT NULL,
    goal INTEGER NOT NULL
) STRICT;
