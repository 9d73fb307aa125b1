#include "client/data/inspect.h"

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/tokenizer/tokenizer_cc.h"
#include "common/status.h"
#include "common/token_file.h"

namespace cherry::client {
namespace {

constexpr size_t kSampleBytes = 400;
// Enough for the bytes above: a token is a byte at least.
constexpr int64_t kSampleTokens = kSampleBytes + 1;

}  // namespace

std::string CutText(absl::string_view text, size_t bytes) {
  if (text.size() <= bytes) {
    return std::string(text);
  }
  size_t end = bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) {
    --end;
  }
  return absl::StrCat(text.substr(0, end), " ...");
}

absl::StatusOr<std::vector<TextSample>> SampleDocuments(const std::string& directory,
                                                        const DatasetManifest& manifest, int per_split) {
  std::vector<TextSample> samples;
  if (per_split == 0) {
    return samples;
  }
  ASSIGN_OR_RETURN(const Tokenizer tokenizer,
                   Tokenizer::Load(absl::StrCat(directory, "/", kDatasetTokenizerFile)));
  for (const v1::Split& split : manifest.dataset.splits()) {
    ASSIGN_OR_RETURN(const std::unique_ptr<TokenFile> file,
                     TokenFile::Open(absl::StrCat(directory, "/", split.name())));
    const int64_t count = std::min<int64_t>(per_split, file->documents());
    for (int64_t i = 0; i < count; ++i) {
      TextSample sample;
      sample.split = split.name();
      sample.document = i * file->documents() / count;
      sample.tokens = file->document_length(sample.document);
      std::vector<int32_t> tokens(static_cast<size_t>(std::min(sample.tokens, kSampleTokens)));
      file->Read(file->document_begin(sample.document), absl::MakeSpan(tokens));
      ASSIGN_OR_RETURN(const std::string text, tokenizer.Decode(tokens, true));
      sample.text = CutText(text, kSampleBytes);
      samples.push_back(std::move(sample));
    }
  }
  return samples;
}

}  // namespace cherry::client
