#include "client/data/byte_source.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/status.h"

namespace cherry::client {
namespace {

constexpr size_t kChunk = size_t{1} << 18;

absl::Status DamagedFile(const std::string& path, absl::string_view what) {
  return InvalidField("INPUT_INVALID", "INPUT", absl::StrCat(path, ": ", what),
                      "copy or pack the file again");
}

struct FileCloser {
  void operator()(FILE* file) const { std::fclose(file); }
};
using OpenFile = std::unique_ptr<FILE, FileCloser>;

absl::StatusOr<size_t> ReadSome(FILE* file, const std::string& path, char* out, size_t most) {
  errno = 0;
  const size_t bytes = std::fread(out, 1, most, file);
  return bytes == 0 && std::ferror(file) != 0 ? absl::StatusOr<size_t>(ErrnoError(errno, path)) : bytes;
}

class PlainSource final : public ByteSource {
 public:
  PlainSource(OpenFile file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}

  absl::StatusOr<size_t> Read(absl::Span<char> out) override {
    return ReadSome(file_.get(), path_, out.data(), out.size());
  }

 private:
  const OpenFile file_;
  const std::string path_;
};

// Several members one after the other are one text, as gzip has it.
class GzipSource final : public ByteSource {
 public:
  GzipSource(gzFile file, std::string path) : file_(file), path_(std::move(path)) {}
  ~GzipSource() override { gzclose_r(file_); }

  absl::StatusOr<size_t> Read(absl::Span<char> out) override {
    if (checked_ == 0 && gzdirect(file_) != 0) {
      return DamagedFile(path_, "not a gzip file");
    }
    checked_ = 1;
    const int bytes = gzread(file_, out.data(), static_cast<unsigned>(std::min(out.size(), kChunk)));
    int code = Z_OK;
    const char* const what = gzerror(file_, &code);
    if (bytes < 0 || code == Z_BUF_ERROR || code == Z_DATA_ERROR) {
      return DamagedFile(path_,
                         code == Z_BUF_ERROR ? "the gzip file ends early" : absl::StrCat("gzip: ", what));
    }
    return static_cast<size_t>(bytes);
  }

 private:
  const gzFile file_;
  const std::string path_;
  int checked_ = 0;
};

class ZstdSource final : public ByteSource {
 public:
  ZstdSource(OpenFile file, std::string path)
      : file_(std::move(file)), path_(std::move(path)), stream_(ZSTD_createDStream()), packed_(kChunk) {}
  ~ZstdSource() override { ZSTD_freeDStream(stream_); }

  absl::StatusOr<size_t> Read(absl::Span<char> out) override {
    ZSTD_outBuffer to = {out.data(), out.size(), 0};
    while (to.pos == 0) {
      if (from_.pos == from_.size) {
        ASSIGN_OR_RETURN(const size_t bytes, ReadSome(file_.get(), path_, packed_.data(), packed_.size()));
        if (bytes == 0 && left_ != 0) {
          return DamagedFile(path_, "the zstd file ends early");
        }
        if (bytes == 0) {
          return 0;
        }
        from_ = {packed_.data(), bytes, 0};
      }
      left_ = ZSTD_decompressStream(stream_, &to, &from_);
      if (ZSTD_isError(left_) != 0) {
        return DamagedFile(path_, absl::StrCat("zstd: ", ZSTD_getErrorName(left_)));
      }
    }
    return to.pos;
  }

 private:
  const OpenFile file_;
  const std::string path_;
  ZSTD_DStream* const stream_;
  std::vector<char> packed_;
  ZSTD_inBuffer from_ = {nullptr, 0, 0};
  size_t left_ = 1;  // 0: at the end of a frame.
};

}  // namespace

absl::StatusOr<std::unique_ptr<ByteSource>> ByteSource::Open(const std::string& path) {
  if (absl::EndsWith(path, ".gz")) {
    const gzFile file = gzopen(path.c_str(), "rbe");
    return file == nullptr ? absl::StatusOr<std::unique_ptr<ByteSource>>(ErrnoError(errno, path))
                           : std::make_unique<GzipSource>(file, path);
  }
  OpenFile file(std::fopen(path.c_str(), "rbe"));
  if (file == nullptr) {
    return ErrnoError(errno, path);
  }
  if (absl::EndsWith(path, ".zst")) {
    return std::make_unique<ZstdSource>(std::move(file), path);
  }
  return std::make_unique<PlainSource>(std::move(file), path);
}

absl::string_view UnpackedName(absl::string_view path) {
  return absl::StripSuffix(absl::StripSuffix(path, ".gz"), ".zst");
}

absl::StatusOr<std::string> ReadAll(ByteSource* source, int64_t most) {
  std::string text;
  for (;;) {
    const size_t had = text.size();
    text.resize(had + kChunk);
    ASSIGN_OR_RETURN(const size_t bytes, source->Read(absl::MakeSpan(text).subspan(had)));
    text.resize(had + bytes);
    if (bytes == 0) {
      return text;
    }
    if (static_cast<int64_t>(text.size()) > most) {
      return absl::OutOfRangeError(absl::StrCat("larger than ", most, " bytes"));
    }
  }
}

absl::StatusOr<absl::string_view> LineReader::Next(size_t most) {
  size_t searched = begin_;
  for (;;) {
    const size_t end = buffer_.find('\n', searched);
    const size_t have = buffer_.size() - begin_;
    if (end != std::string::npos || ended_ || have > most) {
      const size_t bytes = end == std::string::npos ? have : end + 1 - begin_;
      const absl::string_view line = absl::string_view(buffer_).substr(begin_, bytes);
      begin_ += bytes;
      return line;
    }
    buffer_.erase(0, begin_);
    begin_ = 0;
    searched = buffer_.size();
    buffer_.resize(searched + kChunk);
    ASSIGN_OR_RETURN(const size_t bytes, source_->Read(absl::MakeSpan(buffer_).subspan(searched)));
    buffer_.resize(searched + bytes);
    ended_ = bytes == 0;
  }
}

}  // namespace cherry::client
