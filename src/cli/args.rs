//! The command line, as typed. The doc comments here are the help texts.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::exit::Exit;
use crate::config::{Config, ConfigError, Given, Origin};

/// Guards Tezos smart optimistic rollups.
///
/// Follows a rollup through a layer-1 node, runs its kernel, computes the commitment of every
/// period, and raises the alarm when a published commitment is false.
#[derive(Debug, Parser)]
#[command(name = "watchtower", version, after_long_help = after(), max_term_width = 100)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) base: BaseFlags,
    #[command(subcommand)]
    pub(super) command: Command,
}

fn after() -> String {
    format!("{SETTINGS_HELP}{}", Exit::HELP)
}

const SETTINGS_HELP: &str = "Settings come from flags, environment variables, and a configuration file, in that order of strength. Every key of the file has a variable: node.endpoints is WATCHTOWER_NODE_ENDPOINTS (lists separated by commas). The file is the one named by --config or WATCHTOWER_CONFIG, else watchtower.toml in the working directory:\n\n  data_dir = \"/var/lib/watchtower\"\n  [node]\n  endpoints = [\"http://127.0.0.1:8732\"]\n  [[rollup]]\n  address = \"sr1...\"\n  preimages = \"/var/lib/rollup/wasm_2_0_0\"\n  [log]\n  format = \"json\"\n\n";

/// Settings that every command knows.
#[derive(Debug, Args)]
pub(super) struct BaseFlags {
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings")]
    pub(super) config: Option<PathBuf>,
    /// Where journal, states and compiled kernels live
    #[arg(long, global = true, value_name = "DIR", help_heading = "Settings")]
    pub(super) data_dir: Option<String>,
    /// What to log: error, warn, info, debug, trace, or directives like info,watchtower::l1=debug
    #[arg(long, global = true, value_name = "LEVEL", help_heading = "Settings")]
    pub(super) log_level: Option<String>,
    /// How logs look: human or json
    #[arg(long, global = true, value_name = "FORMAT", help_heading = "Settings")]
    pub(super) log_format: Option<String>,
}

/// Where the chain is read.
#[derive(Debug, Args, Default)]
pub(super) struct NodeFlags {
    /// Layer-1 node; give it again for more, preferred ones first
    #[arg(long, value_name = "URL")]
    pub(super) node: Vec<String>,
    /// Chain the nodes must be on (Net…)
    #[arg(long, value_name = "CHAIN")]
    pub(super) chain: Option<String>,
}

/// Which rollups, and where what they reveal is found.
#[derive(Debug, Args, Default)]
pub(super) struct RollupFlags {
    /// Addresses of the rollups (sr1… or scr1…); without any, those of the configuration file
    #[arg(value_name = "ROLLUP")]
    pub(super) rollups: Vec<String>,
    /// Kernel file, for nodes that no longer have the origination (checked against its commitment)
    #[arg(long, value_name = "FILE")]
    pub(super) kernel: Option<String>,
    /// Directory of preimages: files named by their hash, as a rollup node keeps them
    #[arg(long, value_name = "DIR")]
    pub(super) preimages: Option<String>,
    /// HTTP endpoint that serves preimages under /<hash>; give it again for more
    #[arg(long, value_name = "URL")]
    pub(super) preimage_endpoint: Vec<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Follow rollups: run every level, judge every published commitment, raise alarms
    ///
    /// Continues where the data directory left off, however the last run ended.
    Follow(FollowArgs),
    /// Watch the tower catch a liar: a whole network on this machine, nothing leaves it
    ///
    /// Exits with 0 only if the liar was caught and every true commitment was judged true.
    Demo(DemoArgs),
    /// Let an adversary loose on a simulated layer 1, with the tower to defend it, and report
    ///
    /// Exits with 0 only if every drill was won: liars without a stake, ours in place.
    Drill(DrillArgs),
    /// Serve the simulated layer 1 that the demo and the tests use
    ///
    /// It answers like a node; blocks come by themselves, and /devnet takes commands.
    #[command(after_long_help = DEVNET_COMMANDS)]
    Devnet(DevnetArgs),
    /// Replay vector files with the product's own code and compare
    ///
    /// Prints the first difference of each file with both values; exits with 0 only if every
    /// file is equal.
    Check(CheckArgs),
    /// Ask the reference machine: its state, hash or proof at any tick
    ///
    /// On a kernel file, with inputs in a JSON file; or on a level of a followed rollup, offline.
    /// Ticks count from the origination of the kernel, or from the state before the level.
    Pvm(PvmArgs),
    /// Show the journal: everything seen, computed and concluded
    Log(LogArgs),
    /// Say how each rollup stands, from the journal; works beside a running tower
    ///
    /// Exits with 10 when a false commitment stands, 11 when something is not judgeable.
    Status(StatusArgs),
    /// Run levels again, offline, and compare with what was journalled
    ///
    /// Exits with 12 at the first difference. Beside a running tower use --from-kernel.
    Replay(ReplayArgs),
    /// Read the durable storage of a rollup at a level
    State(StateArgs),
    /// Take a commitment, a kernel or a block apart
    #[command(subcommand)]
    Inspect(InspectCommand),
    /// What people were told: list, acknowledge, prove that messages arrive
    #[command(subcommand)]
    Alerts(AlertsCommand),
    /// List games with both clocks, from the journal; works beside a running tower
    Games(GamesArgs),
    /// Explain a game: who claims what, what we will send, by when, and what if not
    Explain(ExplainArgs),
    /// Everything about a game in one file, to be checked on any machine
    #[command(subcommand)]
    Evidence(EvidenceCommand),
    /// Stop all sending, or let it go on; works beside a running tower
    #[command(subcommand)]
    Brake(BrakeCommand),
    /// Play whole games against a synthetic liar on real history, locally
    ///
    /// Exits with 12 when a game is not won.
    Rehearse(RehearseArgs),
    /// Make, import and list the keys that sign, encrypted in a file of the data directory
    ///
    /// The passphrase is read from --passphrase-file, or asked for on the terminal. A remote
    /// signer ([signer] remote in the configuration file) is the better place for a key.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Look at node, history, disk and preimages, and say what to fix
    ///
    /// Exits with 13 when there is something to fix.
    Doctor(DoctorArgs),
    /// Ask a few questions, write a commented configuration file, look whether all is well
    Init(InitArgs),
    /// Copy, check or restore the journal
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Write the manual pages into a folder
    Manual(ManualArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
}

/// Where the passphrase comes from.
#[derive(Debug, Args, Default)]
pub(super) struct PassphraseFlags {
    /// File whose first line is the passphrase; without it, the terminal is asked
    #[arg(long, value_name = "FILE")]
    pub(super) passphrase_file: Option<PathBuf>,
}

/// Curve of a key, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum CurveName {
    /// tz1
    Ed25519,
    /// tz2
    Secp256k1,
    /// tz3
    P256,
    /// tz4
    Bls,
}

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// List the keys of the key file: name, account, public key
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Draw a new key
    Generate {
        /// What it is called
        name: String,
        /// Its curve
        #[arg(long, value_enum, default_value_t = CurveName::Ed25519)]
        curve: CurveName,
        #[command(flatten)]
        passphrase: PassphraseFlags,
    },
    /// Import a secret key, encrypted (edesk, spesk, p2esk, BLesk) or not (edsk, spsk, p2sk, BLsk)
    ///
    /// It is read from --file or typed on the terminal without echo, never from an argument. An
    /// encrypted one must open with the passphrase, which it keeps.
    Import {
        /// What it is called
        name: String,
        /// File whose first line is the secret key
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        #[command(flatten)]
        passphrase: PassphraseFlags,
    },
    /// Print the account of a key; without a name, that of the key the tower would sign with
    Address {
        /// Name or account of a key in the key file
        name: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct FollowArgs {
    #[command(flatten)]
    pub(super) rollup: RollupFlags,
    #[command(flatten)]
    pub(super) node: NodeFlags,
    /// Where metrics, health and API are served: address and port, or none
    #[arg(long, value_name = "ADDRESS")]
    pub(super) listen: Option<String>,
    /// Stop once this level is reached and judged; the exit code then tells the verdict
    #[arg(long, value_name = "LEVEL")]
    pub(super) until: Option<i64>,
    #[command(flatten)]
    pub(super) play: PlayFlags,
}

/// How far the tower goes, and who signs.
#[derive(Debug, Args, Default)]
pub(super) struct PlayFlags {
    /// How far to go: observe, shadow, defend, operate or bailout; defend when there is a signer
    #[arg(long, value_name = "MODE")]
    pub(super) mode: Option<String>,
    /// Account to act for: shadow's, or that of a remote signer
    #[arg(long, value_name = "ACCOUNT")]
    pub(super) account: Option<String>,
    /// Remote signer, as octez-signer serves it
    #[arg(long, value_name = "URL", conflicts_with = "key")]
    pub(super) signer: Option<String>,
    /// Key of the key file to sign with, by name or account
    #[arg(long, value_name = "KEY")]
    pub(super) key: Option<String>,
    /// File with the key's passphrase; without it, the terminal is asked
    #[arg(long, value_name = "FILE")]
    pub(super) passphrase_file: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct GamesArgs {
    /// Those that are over, too
    #[arg(long)]
    pub(super) all: bool,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// A game: its number in `games`, or the opponent's account
    pub(super) game: String,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum EvidenceCommand {
    /// Write everything about a game into one file
    Export {
        /// A game: its number in `games`, or the opponent's account
        game: String,
        /// The file to write
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
    /// Check such a file on its own: hashes, inbox, every move, every proof
    ///
    /// Exits with 12 at the first thing that does not hold.
    Verify {
        /// The file
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum BrakeCommand {
    /// Stop all sending at once; watching goes on
    On {
        /// Why, for the journal
        #[arg(long, default_value = "the operator", value_name = "TEXT")]
        reason: String,
    },
    /// Let sending go on, and end every other hold
    Off,
}

#[derive(Debug, Args)]
pub(super) struct RehearseArgs {
    /// The rollup, where the journal watches several
    #[arg(long, value_name = "ROLLUP")]
    pub(super) rollup: Option<String>,
    /// Inbox level of the commitment to rehearse; without it, the newest
    #[arg(long, value_name = "LEVEL")]
    pub(super) level: Option<i64>,
    /// Games to play, in both roles by turns, about each kind of tick by turns: parsing,
    /// initialisation, evaluation, messages, padding, and so on; without it, one about each
    #[arg(long, short = 'n', value_name = "COUNT")]
    pub(super) games: Option<u64>,
    /// Start from the kernel instead of a stored state; works beside a running tower
    #[arg(long)]
    pub(super) from_kernel: bool,
}

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Labels of the chain: modern (sr1…) or scr1
    #[arg(long, default_value = "modern", value_parser = ["modern", "scr1"])]
    pub(super) dialect: String,
    /// Time between blocks
    #[arg(long, default_value_t = 200, value_name = "MILLISECONDS")]
    pub(super) block_milliseconds: u64,
    /// Where the page of the tower is served meanwhile; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:9732", value_name = "ADDRESS")]
    pub(super) listen: std::net::SocketAddr,
    /// Go on serving the page after the end, until interrupted
    #[arg(long)]
    pub(super) stay: bool,
}

#[derive(Debug, Args)]
pub(super) struct DrillArgs {
    /// Names of drills, or composed_NUMBER; without any, all are listed
    #[arg(value_name = "NAME")]
    pub(super) names: Vec<String>,
    /// List the drills
    #[arg(long)]
    pub(super) list: bool,
    /// As JSON, one object per line
    #[arg(long)]
    pub(super) json: bool,
    /// Keep what the drill writes here: `--data-dir <DIR>/data` then shows it to `games`, `explain` and
    /// `evidence`; one drill
    #[arg(long, value_name = "DIR")]
    pub(super) keep: Option<PathBuf>,
}

/// What the address takes besides the paths of a node.
const DEVNET_COMMANDS: &str = "Commands, with curl:
  GET  /devnet                           accounts with their keys, rollups, contracts, head
  POST /devnet/bake?count=N              N more blocks
  POST /devnet/reorg?depth=D&blocks=N    N other blocks instead of the newest D
  POST /devnet/switch?hash=B...          any known block as the head
  POST /devnet/act                       signs and injects, as {\"by\":0,\"deeds\":[...]}
  POST /devnet/hire                      a staker that acts by itself, as {\"account\":3,...}
  GET, POST /devnet/weather              how the endpoint fails: read, change, send back
  POST /devnet/preimage                  keeps data for reveals, from its hexadecimal digits
  GET  /devnet/wasm_2_0_0/HASH           such data";

#[derive(Debug, Args)]
pub(super) struct DevnetArgs {
    /// Address and port to serve on
    #[arg(long, default_value = "127.0.0.1:18732", value_name = "ADDRESS")]
    pub(super) listen: String,
    /// Labels of the chain: modern (sr1…) or scr1
    #[arg(long, default_value = "modern", value_parser = ["modern", "scr1"])]
    pub(super) dialect: String,
    /// Protocol, by its version text or the name in it, such as quebec
    #[arg(long, default_value = "u025_025")]
    pub(super) protocol: String,
    /// Blocks between commitments
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) period: u32,
    /// Blocks before a commitment can be cemented; four periods when not given
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) window: Option<u32>,
    /// Blocks that each player of a game has; four periods when not given
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) timeout: Option<u32>,
    /// Another protocol from the end of a level on, such as tallinn@100; may be given again
    #[arg(long, value_name = "PROTOCOL@LEVEL")]
    pub(super) upgrade: Vec<String>,
    /// Time between blocks; 0 for none but those that /devnet/bake asks for
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS")]
    pub(super) block_seconds: f64,
    /// Kernel of the rollup; without it, one that does what messages tell it to. One larger than an
    /// operation is installed from preimages, which /devnet/wasm_2_0_0 serves
    #[arg(long, value_name = "FILE")]
    pub(super) kernel: Option<PathBuf>,
    /// Let a liar stake too, who lies from so many blocks after the origination on
    #[arg(long, value_name = "BLOCKS")]
    pub(super) liar_after: Option<u32>,
    /// Fixes keys and chain identifier
    #[arg(long, default_value_t = 0)]
    pub(super) seed: u64,
}

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    pub(super) rollup: RollupFlags,
    #[command(flatten)]
    pub(super) node: NodeFlags,
}

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The file to write; an existing one is never touched
    #[arg(long, short, default_value = "watchtower.toml", value_name = "FILE")]
    pub(super) output: PathBuf,
    /// Ask nothing: take flags and environment, leave the rest as it is by default
    #[arg(long)]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) rollup: RollupFlags,
    #[command(flatten)]
    pub(super) node: NodeFlags,
}

#[derive(Debug, Subcommand)]
pub(super) enum JournalCommand {
    /// Copy the journal to a new file, also beside a running tower; the copy is checked
    Backup {
        /// The copy
        file: PathBuf,
    },
    /// Read a journal from end to end and say whether it is sound
    Check {
        /// A copy; without it, the journal of the data directory
        file: Option<PathBuf>,
    },
    /// Put a copy in the place of the journal; what was there is kept beside it
    Restore {
        /// The copy
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(super) struct ManualArgs {
    /// Where the pages go
    #[arg(long, short, default_value = "man", value_name = "DIR")]
    pub(super) output: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    pub(super) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The rollup, where the journal watches several
    #[arg(long, value_name = "ROLLUP")]
    pub(super) rollup: Option<String>,
    /// First level to run again; without it, the first after origination
    #[arg(long, value_name = "LEVEL")]
    pub(super) from: Option<i64>,
    /// Last level to run again; without it, the last one known
    #[arg(long, value_name = "LEVEL")]
    pub(super) to: Option<i64>,
    /// Start from the kernel instead of a stored state: slower, leans on nothing stored
    #[arg(long)]
    pub(super) from_kernel: bool,
    /// What runs the kernels: the fast engine (the reference where it declines), the reference
    /// alone, or both, which must agree on every level
    #[arg(long, value_name = "ENGINE", default_value = "fast")]
    pub(super) engine: EngineChoice,
}

/// What runs kernels again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum EngineChoice {
    /// The fast engine, and the reference where it declines.
    Fast,
    /// The reference alone.
    Reference,
    /// Both, each on every level.
    Both,
}

#[derive(Debug, Args)]
pub(super) struct StateArgs {
    /// The rollup, where the journal watches several
    #[arg(long, value_name = "ROLLUP", global = true)]
    pub(super) rollup: Option<String>,
    /// The level; without it, the last one known
    #[arg(long, value_name = "LEVEL", global = true)]
    pub(super) level: Option<i64>,
    /// Start from the kernel instead of a stored state; works beside a running tower
    #[arg(long, global = true)]
    pub(super) from_kernel: bool,
    #[command(subcommand)]
    pub(super) command: StateCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum StateCommand {
    /// Print the value at a key, as it is
    Get {
        /// A key, such as /kernel/boot.wasm
        key: String,
        /// In hexadecimal
        #[arg(long)]
        hex: bool,
    },
    /// List the names below a key
    Ls {
        /// A key, such as /kernel
        key: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Vector files, plain or .gz
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct PvmArgs {
    #[command(subcommand)]
    pub(super) command: PvmCommand,
}

/// What the machine runs.
#[derive(Debug, Args)]
pub(super) struct PvmSource {
    /// Kernel file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rollup", "level"])]
    pub(super) kernel: Option<PathBuf>,
    /// What the kernel is given: {"version": "v6", "ticks_per_snapshot": 50000000000000,
    /// "outbox_validity_period": 241920, "outbox_message_limit": 100, "metadata": HEX,
    /// "reveals": {REQUEST: ANSWER, …}, "levels": [{"level": 10, "messages": [HEX, …]}, …]};
    /// all of it may be left out, messages include those of the protocol
    #[arg(long, value_name = "FILE", requires = "kernel")]
    pub(super) inputs: Option<PathBuf>,
    /// The rollup, where the journal watches several
    #[arg(long, value_name = "ROLLUP")]
    pub(super) rollup: Option<String>,
    /// The level of the rollup
    #[arg(long, value_name = "LEVEL")]
    pub(super) level: Option<i64>,
}

#[derive(Debug, Subcommand)]
pub(super) enum PvmCommand {
    /// Print state hashes at ticks
    Trace {
        #[command(flatten)]
        source: PvmSource,
        /// These ticks
        #[arg(
            long,
            value_name = "TICK",
            value_delimiter = ',',
            required_unless_present = "every"
        )]
        ticks: Vec<u128>,
        /// Every so many ticks up to the next input request
        #[arg(long, value_name = "TICKS")]
        every: Option<u128>,
    },
    /// Describe the state at a tick: phase, calls, operands, what comes next
    State {
        #[command(flatten)]
        source: PvmSource,
        /// The tick
        #[arg(long)]
        tick: u128,
    },
    /// Prove the tick that leads from a state to the next
    Prove {
        #[command(flatten)]
        source: PvmSource,
        /// The tick of the state
        #[arg(long)]
        tick: u128,
        /// Where the proof goes: one line of JSON, which `pvm verify` and `check` read
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Verify proofs as layer 1 does, on what they show alone; exits with 12 when one does not hold
    Verify {
        /// File of `pvm prove`
        proof: PathBuf,
    },
    /// Print every leaf and directory of the state at a tick, one JSON object a line
    Dump {
        #[command(flatten)]
        source: PvmSource,
        /// The tick
        #[arg(long)]
        tick: u128,
    },
}

#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// Only rows of this rollup
    #[arg(long, value_name = "ROLLUP")]
    pub(super) rollup: Option<String>,
    /// Only these kinds: run, run-end, rollup, block, reorganisation, inbox, state, unknown,
    /// commitment, published, operation, verdict, conflict, alarm, game, position, game-end, move,
    /// decision, consent, sent, assertion, hold. Without it, all but the three
    /// that every level has (block, inbox, state)
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub(super) kind: Vec<String>,
    /// Every kind, those of every level too
    #[arg(long, conflicts_with = "kind")]
    pub(super) all: bool,
    /// Only rows at or above this level
    #[arg(long, value_name = "LEVEL")]
    pub(super) from: Option<i64>,
    /// Only rows at or below this level
    #[arg(long, value_name = "LEVEL")]
    pub(super) to: Option<i64>,
    /// The newest so many rows; 0 for all
    #[arg(long, short = 'n', default_value_t = 100, value_name = "COUNT")]
    pub(super) last: u32,
    /// One JSON object per line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum AlertsCommand {
    /// List alerts that are open; works beside a running tower
    List {
        /// Those that are over, too
        #[arg(long)]
        all: bool,
        /// One JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Say that somebody takes care of an alert: it is not told again
    Ack {
        /// Number of the alert
        id: u64,
        /// Who
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
    /// Send a test through every channel now, and say what came of it
    ///
    /// Exits with 13 when a channel does not work.
    Test {
        /// Only this channel
        #[arg(long, value_name = "NAME")]
        channel: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum InspectCommand {
    /// A commitment, by its hash (from the journal) or by its 76 bytes in hexadecimal
    Commitment {
        /// src1… or scc1… hash, or hexadecimal bytes
        commitment: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// A kernel file: hash, imports, exports, and what a machine would refuse
    Kernel {
        /// WebAssembly file
        file: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// A journalled block: inbox, messages, states
    Block {
        /// Level or hash
        block: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

impl Cli {
    /// The configuration for commands that need no node and no rollup.
    pub(super) fn config(&self) -> Result<Config, ConfigError> {
        self.config_with(Vec::new())
    }

    /// The configuration with what a command's own flags add.
    pub(super) fn config_with(&self, more: Vec<Given>) -> Result<Config, ConfigError> {
        let environment: Vec<_> = std::env::vars().collect();
        let mut flags = self.base.given();
        flags.extend(more);
        Config::load(
            Config::file(self.base.config.clone(), &environment),
            &environment,
            flags,
        )
    }
}

fn given(key: &str, flag: &'static str, values: Vec<String>) -> Option<Given> {
    (!values.is_empty()).then(|| Given {
        key: key.into(),
        values,
        origin: Origin::Flag(flag),
    })
}

pub(super) fn single(key: &str, flag: &'static str, value: &Option<String>) -> Option<Given> {
    given(key, flag, value.clone().into_iter().collect())
}

impl BaseFlags {
    pub(super) fn given(&self) -> Vec<Given> {
        [
            single("data_dir", "--data-dir", &self.data_dir),
            single("log.level", "--log-level", &self.log_level),
            single("log.format", "--log-format", &self.log_format),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl NodeFlags {
    pub(super) fn given(&self) -> Vec<Given> {
        [
            given("node.endpoints", "--node", self.node.clone()),
            single("node.chain", "--chain", &self.chain),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl PlayFlags {
    pub(super) fn given(&self) -> Vec<Given> {
        [
            single("mode", "--mode", &self.mode),
            single("signer.account", "--account", &self.account),
            single("signer.remote", "--signer", &self.signer),
            single("signer.key", "--key", &self.key),
            single(
                "signer.passphrase_file",
                "--passphrase-file",
                &self.passphrase_file,
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl RollupFlags {
    /// Addresses first: the others apply to the rollups named.
    pub(super) fn given(&self) -> Vec<Given> {
        [
            given("rollups", "ROLLUP", self.rollups.clone()),
            single("kernel", "--kernel", &self.kernel),
            single("preimages", "--preimages", &self.preimages),
            given(
                "preimage_endpoints",
                "--preimage-endpoint",
                self.preimage_endpoint.clone(),
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
        assert!(Exit::HELP.contains("13"));
    }
}
