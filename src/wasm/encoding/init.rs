//! Linking, initialisation and the evaluation of a kernel (`init_encodings.ml`, `tree_state.ml`).

use crate::wasm::config::{Admin, Config, MapKont};
use crate::wasm::encoding::{Source, Stored, Target};
use crate::wasm::fault::Fault;
use crate::wasm::init::{
    Aggregate, AggregateConcat, ConstKont, Either, EvalState, ExportsAcc, FoldLeft, FoldRight2,
    GlobalKont, InitKont, InitState, InstTypes, JoinKont, LinkState, MapConcat, TickMap,
};
use crate::wasm::instance::ModuleInst;
use crate::wasm::lazy::LazyVec;

impl Stored for LinkState {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.store("ast_module", &mut self.module)?;
        target.store("externs", &mut self.externs)?;
        target.leaf("imports_offset", &self.offset)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            module: source.load("ast_module")?,
            externs: source.load("externs")?,
            offset: source.leaf("imports_offset")?,
        })
    }
}

impl Stored for InitState {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.leaf("self", &self.self_key)?;
        target.store("ast_module", &mut self.module)?;
        target.store("init_kont", &mut self.kont)?;
        target.store("modules", &mut self.registry)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            self_key: source.leaf("self")?,
            module: source.load("ast_module")?,
            kont: source.load("init_kont")?,
            registry: source.load("modules")?,
        })
    }
}

impl Stored for EvalState {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.store("config", &mut self.config)?;
        target.store("modules", &mut self.registry)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            config: source.load("config")?,
            registry: source.load("modules")?,
        })
    }
}

impl Stored for InstTypes {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.store("types", &mut self.0)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        source.load("types").map(Self)
    }
}

impl<A: Stored, B: Stored, Acc: Stored> Stored for FoldRight2<A, B, Acc> {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.store("acc", &mut self.acc)?;
        target.store("left_vector", &mut self.left)?;
        target.store("right_vector", &mut self.right)?;
        target.leaf("offset", &self.offset)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            acc: source.load("acc")?,
            left: source.load("left_vector")?,
            right: source.load("right_vector")?,
            offset: source.leaf("offset")?,
        })
    }
}

impl<A: Stored, Acc: Stored> Stored for FoldLeft<A, Acc> {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.store("origin", &mut self.origin)?;
        target.store("acc", &mut self.acc)?;
        target.leaf("offset", &self.offset)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            origin: source.load("origin")?,
            acc: source.load("acc")?,
            offset: source.leaf("offset")?,
        })
    }
}

/// The optional inner continuation has one more step below its tag.
#[derive(Clone)]
struct Inner<K>(K);

impl<K: Stored> Stored for Inner<K> {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.store("inner_kont", &mut self.0)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        source.load("inner_kont").map(Self)
    }
}

impl<K: Stored, A: Stored, B: Stored> Stored for TickMap<K, A, B> {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        let mut inner = self.inner.take().map(Inner);
        let written = inner.store(target);
        self.inner = inner.map(|inner| inner.0);
        written?;
        target.store("map_kont", &mut self.map)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            inner: Option::<Inner<K>>::load(source)?.map(|inner| inner.0),
            map: source.load("map_kont")?,
        })
    }
}

impl<A: Stored, B: Stored> Stored for Either<A, B> {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Left(value) => target.tagged("Left", |target| value.store(target)),
            Self::Right(value) => target.tagged("Right", |target| value.store(target)),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        match source.tag()?.as_str() {
            "Left" => A::load(&at).map(Self::Left),
            "Right" => B::load(&at).map(Self::Right),
            other => Err(source.unknown_tag(other)),
        }
    }
}

impl Stored for ConstKont {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Next(config) => target.tagged("EC_Next", |target| config.store(target)),
            Self::Stop(value) => target.tagged("EC_Stop", |target| value.store(target)),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        match source.tag()?.as_str() {
            "EC_Next" => Config::load(&at).map(Self::Next),
            "EC_Stop" => Stored::load(&at).map(Self::Stop),
            other => Err(source.unknown_tag(other)),
        }
    }
}

impl Stored for GlobalKont {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.leaf("global_type", &self.ty)?;
        target.store("kont", &mut self.kont)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            ty: source.leaf("global_type")?,
            kont: source.load("kont")?,
        })
    }
}

impl Stored for JoinKont {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Init(vectors) => target.tagged("J_Init", |target| vectors.store(target)),
            Self::Next(kont, rest) => target.tagged("J_Next", |target| {
                target.store("kont", kont)?;
                target.store("acc", rest)
            }),
            Self::Stop(joined) => target.tagged("J_Stop", |target| joined.store(target)),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        Ok(match source.tag()?.as_str() {
            "J_Init" => Self::Init(LazyVec::load(&at)?),
            "J_Next" => Self::Next(at.load("kont")?, at.load("acc")?),
            "J_Stop" => Self::Stop(LazyVec::load(&at)?),
            other => return Err(source.unknown_tag(other)),
        })
    }
}

impl<A: Stored> Stored for MapConcat<A> {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Map(map) => target.tagged("MC_Map", |target| map.store(target)),
            Self::Join(join) => target.tagged("MC_Join", |target| join.store(target)),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        match source.tag()?.as_str() {
            "MC_Map" => MapKont::load(&at).map(Self::Map),
            "MC_Join" => JoinKont::load(&at).map(Self::Join),
            other => Err(source.unknown_tag(other)),
        }
    }
}

impl Stored for ExportsAcc {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.leaf("exports-memory-0", &self.memory_0)?;
        target.store("exports", &mut self.exports)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            memory_0: source.leaf("exports-memory-0")?,
            exports: source.load("exports")?,
        })
    }
}

fn store_with<K: Stored>(
    target: &mut Target<'_>,
    tag: &'static str,
    module: &mut ModuleInst,
    kont: &mut K,
) -> Result<(), Fault> {
    target.tagged(tag, |target| {
        target.store("module", module)?;
        target.store("kont", kont)
    })
}

fn load_with<K: Stored>(at: &Source) -> Result<(ModuleInst, K), Fault> {
    Ok((at.load("module")?, at.load("kont")?))
}

impl Stored for InitKont {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Start(externs) => {
                target.tagged("IK_Start", |target| target.store("externs", externs))
            }
            Self::AddImport(fold) => target.tagged("IK_Add_import", |target| fold.store(target)),
            Self::Types(module, kont) => store_with(target, "IK_Types", module, kont),
            Self::Aggregate(module, kont) => match kont {
                Aggregate::Func(k) => store_with(target, "IK_Aggregate_func", module, k),
                Aggregate::Global(k) => store_with(target, "IK_Aggregate_global", module, k),
                Aggregate::Table(k) => store_with(target, "IK_Aggregate_table", module, k),
                Aggregate::Memory(k) => store_with(target, "IK_Aggregate_memory", module, k),
            },
            Self::AggregateConcat(module, kont) => match kont {
                AggregateConcat::Func(k) => {
                    store_with(target, "IK_Aggregate_concat_func", module, k)
                }
                AggregateConcat::Global(k) => {
                    store_with(target, "IK_Aggregate_concat_global", module, k)
                }
                AggregateConcat::Table(k) => {
                    store_with(target, "IK_Aggregate_concat_table", module, k)
                }
                AggregateConcat::Memory(k) => {
                    store_with(target, "IK_Aggregate_concat_memory", module, k)
                }
            },
            Self::Exports(module, kont) => store_with(target, "IK_Exports", module, kont),
            Self::Elems(module, kont) => store_with(target, "IK_Elems", module, kont),
            Self::Datas(module, kont) => store_with(target, "IK_Datas", module, kont),
            Self::EsElem(module, kont) => store_with(target, "IK_Es_elem", module, kont),
            Self::EsData(module, kont, elems) => target.tagged("IK_Es_data", |target| {
                target.store("module", module)?;
                target.store("kont", kont)?;
                target.store("es_elem", elems)
            }),
            Self::JoinAdmin(module, kont) => store_with(target, "IK_Join_admin", module, kont),
            Self::Eval(config) => target.tagged("IK_Eval", |target| target.store("config", config)),
            Self::Stop => target.tagged("IK_Stop", Target::unit),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        let tag = source.tag()?;
        if let Some(aggregate) = load_aggregate(&tag, &at)? {
            return Ok(aggregate);
        }
        Ok(match tag.as_str() {
            "IK_Start" => Self::Start(at.load("externs")?),
            "IK_Add_import" => Self::AddImport(FoldRight2::load(&at)?),
            "IK_Types" => load_with(&at).map(|(m, k)| Self::Types(m, k))?,
            "IK_Exports" => load_with(&at).map(|(m, k)| Self::Exports(m, k))?,
            "IK_Elems" => load_with(&at).map(|(m, k)| Self::Elems(m, k))?,
            "IK_Datas" => load_with(&at).map(|(m, k)| Self::Datas(m, k))?,
            "IK_Es_elem" => load_with(&at).map(|(m, k)| Self::EsElem(m, k))?,
            "IK_Es_data" => {
                let (module, kont) = load_with(&at)?;
                Self::EsData(module, kont, at.load::<LazyVec<Admin>>("es_elem")?)
            }
            "IK_Join_admin" => load_with(&at).map(|(m, k)| Self::JoinAdmin(m, k))?,
            "IK_Eval" => Self::Eval(at.load("config")?),
            "IK_Stop" => at.bytes("").map(|_| Self::Stop)?,
            other => return Err(source.unknown_tag(other)),
        })
    }
}

fn load_aggregate(tag: &str, at: &Source) -> Result<Option<InitKont>, Fault> {
    use InitKont::{Aggregate as Map, AggregateConcat as Concat};
    Ok(Some(match tag {
        "IK_Aggregate_func" => load_with(at).map(|(m, k)| Map(m, Aggregate::Func(k)))?,
        "IK_Aggregate_global" => load_with(at).map(|(m, k)| Map(m, Aggregate::Global(k)))?,
        "IK_Aggregate_table" => load_with(at).map(|(m, k)| Map(m, Aggregate::Table(k)))?,
        "IK_Aggregate_memory" => load_with(at).map(|(m, k)| Map(m, Aggregate::Memory(k)))?,
        "IK_Aggregate_concat_func" => {
            load_with(at).map(|(m, k)| Concat(m, AggregateConcat::Func(k)))?
        }
        "IK_Aggregate_concat_global" => {
            load_with(at).map(|(m, k)| Concat(m, AggregateConcat::Global(k)))?
        }
        "IK_Aggregate_concat_table" => {
            load_with(at).map(|(m, k)| Concat(m, AggregateConcat::Table(k)))?
        }
        "IK_Aggregate_concat_memory" => {
            load_with(at).map(|(m, k)| Concat(m, AggregateConcat::Memory(k)))?
        }
        _ => return Ok(None),
    }))
}
