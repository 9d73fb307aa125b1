#include "client/data/inspect.h"

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/data/label_file.h"
#include "client/tokenizer/tokenizer_cc.h"
#include "common/status.h"
#include "common/token_file.h"
#include "common/token_labels.h"

namespace cherry::client {
namespace {

constexpr size_t kSampleBytes = 400;
// Enough for the bytes above: a token is a byte at least.
constexpr int64_t kSampleTokens = kSampleBytes + 1;

bool Continues(uint8_t label, uint8_t before) {
  return CategoryOf(label) != Category::kNone && CategoryOf(label) == CategoryOf(before) &&
         (label & kSpanStart) == 0;
}

// The text of the tokens, with marks where there are labels. What a run of tokens adds is found by decoding
// all that stands before it too: some decoders treat the first token in a way of its own.
absl::StatusOr<std::string> MarkedText(const Tokenizer& tokenizer, absl::Span<const int32_t> tokens,
                                       absl::Span<const uint8_t> labels, bool skip_special) {
  constexpr char kMarks[] = " FRC";
  std::string text;
  std::string marked;
  for (size_t begin = 0, end; begin < tokens.size(); begin = end) {
    for (end = begin + 1; end < tokens.size() && end < labels.size(); ++end) {
      const bool plain =
          CategoryOf(labels[end]) == Category::kNone && CategoryOf(labels[begin]) == Category::kNone;
      if (!plain && !Continues(labels[end], labels[end - 1])) {
        break;
      }
    }
    end = labels.empty() ? tokens.size() : end;
    ASSIGN_OR_RETURN(std::string more, tokenizer.Decode(tokens.subspan(0, end), skip_special));
    const std::string run = more.substr(std::min(text.size(), more.size()));
    text = std::move(more);
    const Category category = labels.empty() ? Category::kNone : CategoryOf(labels[begin]);
    if (category == Category::kNone) {
      absl::StrAppend(&marked, run);
    } else {
      absl::StrAppend(&marked, "[", std::string(1, kMarks[static_cast<size_t>(category)]), " ", run, "]");
    }
  }
  return marked;
}

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
                                                        const DatasetManifest& manifest, int per_split,
                                                        bool marks) {
  std::vector<TextSample> samples;
  if (per_split == 0) {
    return samples;
  }
  ASSIGN_OR_RETURN(const Tokenizer tokenizer,
                   Tokenizer::Load(absl::StrCat(directory, "/", kDatasetTokenizerFile)));
  for (const v1::Split& split : manifest.dataset.splits()) {
    const std::string prefix = absl::StrCat(directory, "/", split.name());
    ASSIGN_OR_RETURN(const std::unique_ptr<TokenFile> file, TokenFile::Open(prefix));
    const int64_t count = std::min<int64_t>(per_split, file->documents());
    for (int64_t i = 0; i < count; ++i) {
      TextSample sample;
      sample.split = split.name();
      sample.document = i * file->documents() / count;
      sample.tokens = file->document_length(sample.document);
      std::vector<int32_t> tokens(static_cast<size_t>(std::min(sample.tokens, kSampleTokens)));
      file->Read(file->document_begin(sample.document), absl::MakeSpan(tokens));
      std::vector<uint8_t> labels;
      if (marks && !split.labels_hash().empty()) {
        ASSIGN_OR_RETURN(labels, ReadLabels(prefix, file->document_begin(sample.document),
                                            static_cast<int64_t>(tokens.size())));
      }
      // In a conversation the special tokens tell who speaks.
      ASSIGN_OR_RETURN(const std::string text, MarkedText(tokenizer, tokens, labels, !manifest.chat));
      sample.text = CutText(text, kSampleBytes);
      samples.push_back(std::move(sample));
    }
  }
  return samples;
}

}  // namespace cherry::client
