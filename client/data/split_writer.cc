#include "client/data/split_writer.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/status.h"

namespace cherry::client {
namespace {

absl::Status HashFiles(const std::string& prefix, v1::Split* split) {
  ASSIGN_OR_RETURN(*split->mutable_bin_hash(), HashFile(prefix + ".bin"));
  ASSIGN_OR_RETURN(*split->mutable_idx_hash(), HashFile(prefix + ".idx"));
  struct stat info;
  if (stat((prefix + ".bin").c_str(), &info) != 0) {
    return ErrnoError(errno, prefix + ".bin");
  }
  split->set_bin_bytes(info.st_size);
  return absl::OkStatus();
}

absl::Status Count(absl::Span<const int32_t> tokens, const std::string& prefix,
                   std::vector<int64_t>* counts) {
  for (const int32_t token : tokens) {
    if (token < 0 || static_cast<size_t>(token) >= counts->size()) {
      return Error(absl::StatusCode::kOutOfRange, "VOCAB_MISMATCH", "tokenizer",
                   absl::StrCat(prefix, ".bin: token ", token, " is not in the tokenizer's vocabulary of ",
                                counts->size()),
                   "give the tokenizer these tokens were made with");
    }
    ++(*counts)[static_cast<size_t>(token)];
  }
  return absl::OkStatus();
}

}  // namespace

double UnigramEntropy(const std::vector<int64_t>& counts) {
  int64_t total = 0;
  for (const int64_t count : counts) {
    total += count;
  }
  double entropy = 0;
  for (const int64_t count : counts) {
    if (count > 0) {
      const double p = static_cast<double>(count) / static_cast<double>(total);
      entropy -= p * std::log(p);
    }
  }
  return entropy;
}

int BytesPerToken(int64_t vocab) { return vocab <= 65536 ? 2 : 4; }

SplitWriter::SplitWriter(std::unique_ptr<TokenFileWriter> files, std::unique_ptr<LabelFileWriter> labels,
                         std::string prefix, std::string name, int64_t vocab)
    : files_(std::move(files)),
      labels_(std::move(labels)),
      prefix_(std::move(prefix)),
      counts_(static_cast<size_t>(vocab), 0) {
  split_.set_name(std::move(name));
}

absl::StatusOr<std::unique_ptr<SplitWriter>> SplitWriter::Create(const std::string& directory,
                                                                 const std::string& name, int64_t vocab,
                                                                 bool labelled) {
  const std::string prefix = absl::StrCat(directory, "/", name);
  ASSIGN_OR_RETURN(std::unique_ptr<TokenFileWriter> files,
                   TokenFileWriter::Create(prefix, BytesPerToken(vocab)));
  std::unique_ptr<LabelFileWriter> labels;
  if (labelled) {
    ASSIGN_OR_RETURN(labels, LabelFileWriter::Create(prefix));
  }
  return std::unique_ptr<SplitWriter>(
      new SplitWriter(std::move(files), std::move(labels), prefix, name, vocab));
}

absl::Status SplitWriter::Add(absl::Span<const int32_t> tokens, absl::Span<const uint8_t> labels) {
  RETURN_IF_ERROR(Count(tokens, prefix_, &counts_));
  if (labels_ != nullptr) {
    if (labels.size() != tokens.size()) {
      return absl::InternalError(
          absl::StrCat(prefix_, ": ", labels.size(), " labels for ", tokens.size(), " tokens"));
    }
    CountLabels(labels, &split_);
    RETURN_IF_ERROR(labels_->Add(labels));
  }
  split_.set_documents(split_.documents() + 1);
  split_.set_tokens(split_.tokens() + static_cast<int64_t>(tokens.size()));
  return files_->Add(tokens);
}

absl::StatusOr<v1::Split> SplitWriter::Finish() {
  RETURN_IF_ERROR(files_->Finish());
  RETURN_IF_ERROR(HashFiles(prefix_, &split_));
  if (labels_ != nullptr) {
    RETURN_IF_ERROR(labels_->Finish());
    ASSIGN_OR_RETURN(*split_.mutable_labels_hash(), HashFile(prefix_ + kLabelsSuffix));
  }
  split_.set_unigram_entropy(UnigramEntropy(counts_));
  return split_;
}

absl::StatusOr<v1::Split> MeasureSplit(const std::string& prefix, const std::string& name, int64_t vocab) {
  ASSIGN_OR_RETURN(const std::unique_ptr<TokenFile> file, TokenFile::Open(prefix));
  v1::Split split;
  split.set_name(name);
  split.set_documents(file->documents());
  split.set_tokens(file->tokens());
  std::vector<int64_t> counts(static_cast<size_t>(vocab), 0);
  std::vector<int32_t> buffer(1 << 20);
  for (int64_t begin = 0; begin < file->tokens();) {
    const int64_t size = std::min<int64_t>(static_cast<int64_t>(buffer.size()), file->tokens() - begin);
    const auto window = absl::MakeSpan(buffer).subspan(0, static_cast<size_t>(size));
    file->Read(begin, window);
    RETURN_IF_ERROR(Count(window, prefix, &counts));
    begin += size;
  }
  split.set_unigram_entropy(UnigramEntropy(counts));
  RETURN_IF_ERROR(HashFiles(prefix, &split));
  if (Exists(prefix + kLabelsSuffix)) {
    RETURN_IF_ERROR(MeasureLabels(prefix, &split));
  }
  return split;
}

}  // namespace cherry::client
