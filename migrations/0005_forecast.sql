-- Who wins a game from a position on if both play the rest honestly; neither where our own machine
-- cannot say. A later row about the same position takes the place of an earlier one.
CREATE TABLE game_forecast (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    game INTEGER NOT NULL REFERENCES game (seq),
    position BLOB NOT NULL CHECK (length(position) = 32),
    result TEXT NOT NULL CHECK (result IN ('loser', 'draw', 'unknown')),
    loser TEXT NOT NULL,
    UNIQUE (game, position, result, loser)
) STRICT;

CREATE INDEX game_forecast_position ON game_forecast (game, position);

-- The bond of a staker, in mutez, as the chain has it after the block; not kept before.
ALTER TABLE chain_constants ADD COLUMN stake INTEGER;
