//! Preimages: the pages that kernels reveal by hash, from a directory or over HTTP, kept.
//!
//! Promises: what is returned hashes to what was asked for; what came over HTTP is in the
//! directory before it is used, written whole or not at all. Refuses to know: who asks. Calls
//! block the thread, which must not be one of the async runtime.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{StatusCode, Url};
use tokio::runtime::Handle;

use super::endpoint::{http_client, node_url, shown};
use super::error::{EndpointName, L1Error};
use crate::crypto::{Hash, Prefix, blake2b};

/// The protocol's limit on a page.
pub const MAX_PAGE: usize = 4096;
/// The folder the field keeps pages in, inside the data directory.
const FOLDER: &str = "wasm_2_0_0";

/// Why a page cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PreimageError {
    /// No source has it.
    #[error("preimage {name} is nowhere to be had: {}", each(.tried))]
    Nowhere {
        /// Its name.
        name: String,
        /// Each source and what it said.
        tried: Vec<(String, String)>,
    },
    /// The directory cannot be used.
    #[error("{path}: {error}")]
    Directory {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
}

fn each(tried: &[(String, String)]) -> String {
    let texts: Vec<_> = tried
        .iter()
        .map(|(source, why)| format!("{source}: {why}"))
        .collect();
    texts.join("; ")
}

/// The sources of preimages of one rollup.
#[derive(Debug)]
pub struct Preimages {
    folder: PathBuf,
    sources: Vec<Source>,
    runtime: Handle,
    timeout: Duration,
}

#[derive(Debug)]
struct Source {
    name: EndpointName,
    base: Url,
    http: reqwest::Client,
}

impl Preimages {
    /// Pages below `data/wasm_2_0_0`, then from each URL in turn. Must be made within a tokio
    /// runtime or be handed one.
    ///
    /// # Errors
    /// [`L1Error`] when a URL is unusable.
    pub fn new(
        data: &Path,
        urls: &[String],
        timeout: Duration,
        runtime: Handle,
    ) -> Result<Self, L1Error> {
        let source = |url: &String| {
            let base = node_url(url)?;
            Ok(Source {
                name: shown(&base),
                http: http_client(&base)?,
                base,
            })
        };
        Ok(Self {
            folder: data.join(FOLDER),
            sources: urls.iter().map(source).collect::<Result<_, L1Error>>()?,
            runtime,
            timeout,
        })
    }

    /// How a page is called in the directory and in URLs: its hash with the scheme byte in front.
    #[must_use]
    pub fn name(hash: &Hash) -> String {
        format!("00{hash}")
    }

    /// The page with this hash.
    ///
    /// # Errors
    /// [`PreimageError`] names every source and what it said.
    pub fn fetch(&self, hash: &Hash) -> Result<Vec<u8>, PreimageError> {
        let mut tried = Vec::new();
        if let Some(page) = self.kept(hash, &mut tried)? {
            return Ok(page);
        }
        for source in &self.sources {
            match self.runtime.block_on(self.download(source, hash)) {
                Ok(page) => {
                    self.keep(hash, &page)?;
                    return Ok(page);
                }
                Err(why) => tried.push((source.name.to_string(), why)),
            }
        }
        Err(PreimageError::Nowhere {
            name: Self::name(hash),
            tried,
        })
    }

    /// The page as kept in the directory, under its name of today or the base58 one of old.
    fn kept(
        &self,
        hash: &Hash,
        tried: &mut Vec<(String, String)>,
    ) -> Result<Option<Vec<u8>>, PreimageError> {
        for name in [Self::name(hash), Prefix::REVEAL.encode(hash.as_bytes())] {
            let path = self.folder.join(name);
            let why = match fs::read(&path) {
                Ok(page) => match check(&page, hash) {
                    Ok(()) => return Ok(Some(page)),
                    Err(why) => why,
                },
                Err(e) if e.kind() == io::ErrorKind::NotFound => "no such file".to_owned(),
                Err(error) => return Err(PreimageError::Directory { path, error }),
            };
            tried.push((path.display().to_string(), why));
        }
        // Nobody expects the second name today.
        tried.pop_if(|(_, why)| why == "no such file");
        Ok(None)
    }

    async fn download(&self, source: &Source, hash: &Hash) -> Result<Vec<u8>, String> {
        let text = format!(
            "{}/{}",
            source.base.as_str().trim_end_matches('/'),
            Self::name(hash)
        );
        let url = Url::parse(&text).map_err(|e| e.to_string())?;
        let get = async {
            let mut response = source.http.get(url).send().await.map_err(|e| {
                if e.is_connect() {
                    "cannot connect"
                } else {
                    "the request broke off"
                }
                .to_owned()
            })?;
            if response.status() != StatusCode::OK {
                return Err(format!("HTTP status {}", response.status().as_u16()));
            }
            let mut page = Vec::new();
            while page.len() <= MAX_PAGE {
                match response.chunk().await {
                    Ok(Some(chunk)) => page.extend_from_slice(&chunk),
                    Ok(None) => break,
                    Err(_) => return Err("the answer broke off".to_owned()),
                }
            }
            Ok(page)
        };
        let page = match tokio::time::timeout(self.timeout, get).await {
            Ok(page) => page?,
            Err(_) => return Err(format!("no answer within {} ms", self.timeout.as_millis())),
        };
        check(&page, hash)?;
        Ok(page)
    }

    /// Writes beside, then renames: a crash leaves the page whole or absent.
    fn keep(&self, hash: &Hash, page: &[u8]) -> Result<(), PreimageError> {
        let path = self.folder.join(Self::name(hash));
        let beside = self
            .folder
            .join(format!(".{}.{}", Self::name(hash), std::process::id()));
        let write = || -> io::Result<()> {
            fs::create_dir_all(&self.folder)?;
            let mut file = fs::File::create(&beside)?;
            file.write_all(page)?;
            file.sync_all()?;
            fs::rename(&beside, &path)
        };
        write().map_err(|error| PreimageError::Directory {
            path: path.clone(),
            error,
        })
    }
}

fn check(page: &[u8], hash: &Hash) -> Result<(), String> {
    if page.len() > MAX_PAGE {
        return Err(format!("more than {MAX_PAGE} bytes, which no page has"));
    }
    let found = blake2b(page);
    if found == *hash {
        Ok(())
    } else {
        Err(format!("its content hashes to {}", Preimages::name(&found)))
    }
}
