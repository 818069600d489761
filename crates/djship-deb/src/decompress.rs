//! Decompression of what archives hold, with a limit on memory. The limit on output is the reader's business.

use std::io::{self, BufRead, Read};

/// How something is compressed, by the end of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// `.gz`
    Gzip,
    /// `.xz`
    Xz,
    /// `.zst`
    Zstd,
}

/// The memory that an xz stream may ask for, in bytes: `xz -9` needs 65 MiB.
const MEMORY_LIMIT: u64 = 256 * 1024 * 1024;

/// The same for zstd, as the logarithm of its window: 128 MiB.
const ZSTD_WINDOW_LOG: u32 = 27;

impl Compression {
    /// Reads the end of a member's name, after what the name must begin with: `data.tar.xz` and `data.tar` give `Xz`.
    pub fn of_name(name: &str, beginning: &str) -> Option<Self> {
        match name.strip_prefix(beginning)? {
            "" => Some(Self::None),
            ".gz" => Some(Self::Gzip),
            ".xz" => Some(Self::Xz),
            ".zst" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// A reader of the decompressed bytes. `threads` above 1 help with large xz files made of several blocks.
    pub fn reader<'input>(
        self,
        input: impl BufRead + Send + 'input,
        threads: u32,
    ) -> io::Result<Box<dyn Read + 'input>> {
        Ok(match self {
            Self::None => Box::new(input),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Self::Xz => {
                let stream = if threads > 1 {
                    liblzma::stream::MtStreamBuilder::new()
                        .threads(threads)
                        .memlimit_threading(MEMORY_LIMIT)
                        .memlimit_stop(MEMORY_LIMIT)
                        .decoder()
                } else {
                    liblzma::stream::Stream::new_stream_decoder(MEMORY_LIMIT, 0)
                };
                Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream.map_err(io::Error::other)?))
            }
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn read(compression: Compression, bytes: &[u8], threads: u32) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        compression.reader(bytes, threads)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn every_compression_is_read_and_damage_is_noticed() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&text).unwrap();
        let packed = [
            (Compression::Gzip, gzip.finish().unwrap()),
            (Compression::Xz, xz.finish().unwrap()),
            (Compression::Zstd, zstd::encode_all(text.as_slice(), 1).unwrap()),
        ];
        for (compression, mut bytes) in packed {
            assert_eq!(read(compression, &bytes, 1).unwrap(), text, "{compression:?}");
            assert_eq!(read(compression, &bytes, 2).unwrap(), text, "{compression:?}");
            assert!(read(compression, &bytes[..bytes.len() / 2], 1).is_err(), "{compression:?}");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
            assert_ne!(read(compression, &bytes, 2).ok(), Some(text.clone()), "{compression:?}");
        }
    }

    #[test]
    fn names_of_members() {
        assert_eq!(Compression::of_name("data.tar.zst", "data.tar"), Some(Compression::Zstd));
        assert_eq!(Compression::of_name("data.tar", "data.tar"), Some(Compression::None));
        assert_eq!(Compression::of_name("data.tar.lzma", "data.tar"), None);
        assert_eq!(Compression::of_name("control.tar.xz", "data.tar"), None);
    }
}
