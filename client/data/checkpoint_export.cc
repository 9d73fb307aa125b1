#include "client/data/checkpoint_export.h"

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/data/chat.h"
#include "client/data/copy_file.h"
#include "client/data/export_form.h"
#include "client/tokenizer/tokenizer_cc.h"
#include "common/file.h"
#include "common/hf_config.h"
#include "common/manifest.h"
#include "common/safetensors.h"
#include "common/status.h"
#include "nlohmann/json.hpp"

namespace cherry::client {
namespace {

using Json = nlohmann::ordered_json;

absl::Status CheckOutput(const ExportOptions& options) {
  if (!Exists(options.output)) {
    return MakeDirectories(options.output);
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(options.output));
  if (names.empty() || options.force) {
    return absl::OkStatus();
  }
  return Error(absl::StatusCode::kAlreadyExists, "OUTPUT_NOT_EMPTY", "output",
               absl::StrCat("output: ", options.output, " is not empty"),
               "choose another directory, or write into it with --force");
}

// Of a tokenizer that Cherry has trained; others bring their own. With the chat template, where it has the
// tokens.
std::string TokenizerConfig(const Tokenizer& tokenizer, int64_t max_length) {
  Json json = {{"tokenizer_class", "PreTrainedTokenizerFast"},
               {"bos_token", "<s>"},
               {"eos_token", "</s>"},
               {"unk_token", "<unk>"},
               {"clean_up_tokenization_spaces", false},
               {"model_max_length", max_length}};
  if (FindRoleTokens(tokenizer).ok()) {
    json["chat_template"] = std::string(kChatTemplate);
  }
  return json.dump(2) + "\n";
}

std::string GenerationConfig(const ModelShape& shape) {
  Json json = {{"bos_token_id", shape.begin_token}, {"do_sample", true}};
  if (shape.end_tokens.size() == 1) {
    json["eos_token_id"] = shape.end_tokens.front();
  } else {
    json["eos_token_id"] = shape.end_tokens;
  }
  return json.dump(2) + "\n";
}

bool Has(const Manifest& manifest, absl::string_view name) {
  for (const ManifestEntry& file : manifest.files) {
    if (file.name == name) {
      return true;
    }
  }
  return false;
}

absl::Status ExportTokenizer(const ExportOptions& options, const Manifest& manifest, int64_t max_length,
                             ExportResult* result) {
  const auto to = [&](absl::string_view name) { return absl::StrCat(options.output, "/", name); };
  for (const char* name : kTokenizerFiles) {
    if (Has(manifest, name)) {
      RETURN_IF_ERROR(CopyFile(absl::StrCat(options.checkpoint, "/", name), to(name)));
      result->files.push_back(name);
    }
  }
  if (Has(manifest, kTokenizerConfigFile)) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Load(to(kTokenizerFile)));
  result->files.push_back(kTokenizerConfigFile);
  return WriteFileAtomically(to(kTokenizerConfigFile), TokenizerConfig(tokenizer, max_length));
}

absl::Status ExportHuggingFace(const ExportOptions& options, const Manifest& manifest, ExportResult* result) {
  constexpr char kGenerationFile[] = "generation_config.json";
  for (const char* name : {kModelFile, kTokenizerFile, kConfigFile}) {
    if (!Has(manifest, name)) {
      return absl::DataLossError(absl::StrCat(options.checkpoint, ": no ", name));
    }
  }
  const auto to = [&](absl::string_view name) { return absl::StrCat(options.output, "/", name); };
  const auto from = [&](absl::string_view name) { return absl::StrCat(options.checkpoint, "/", name); };
  ASSIGN_OR_RETURN(const std::string config, ReadFile(from(kConfigFile)));
  ASSIGN_OR_RETURN(const ModelShape shape, ParseHfConfig(config));
  ASSIGN_OR_RETURN(const std::unique_ptr<SafetensorsFile> weights, SafetensorsFile::Open(from(kModelFile)));
  ASSIGN_OR_RETURN(const ExportForm form, FormOf(shape, *weights));
  ASSIGN_OR_RETURN(const std::string exported, ExportConfig(shape, form, config));
  RETURN_IF_ERROR(CheckOutput(options));
  ASSIGN_OR_RETURN(result->files, ExportWeights(*weights, shape, form, options.output));
  const int64_t length = std::max<int64_t>(manifest.spec.train().sequence_length(), shape.positions);
  RETURN_IF_ERROR(ExportTokenizer(options, manifest, length, result));
  RETURN_IF_ERROR(WriteFileAtomically(to(kGenerationFile), GenerationConfig(shape)));
  result->files.push_back(kGenerationFile);
  if (form == ExportForm::kCode) {
    RETURN_IF_ERROR(WriteFileAtomically(to(kModelingFile), kModelingCode));
    result->files.push_back(kModelingFile);
  }
  // Last: without it nothing opens the directory.
  RETURN_IF_ERROR(WriteFileAtomically(to(kConfigFile), exported));
  result->files.push_back(kConfigFile);
  return SyncDirectory(options.output);
}

absl::Status ExportCherry(const ExportOptions& options, const Manifest& manifest, ExportResult* result) {
  RETURN_IF_ERROR(CheckOutput(options));
  for (const ManifestEntry& file : manifest.files) {
    result->files.push_back(file.name);
  }
  result->files.push_back(kManifestFile);
  for (const std::string& name : result->files) {
    RETURN_IF_ERROR(
        CopyFile(absl::StrCat(options.checkpoint, "/", name), absl::StrCat(options.output, "/", name)));
  }
  RETURN_IF_ERROR(SyncDirectory(options.output));
  return VerifyCheckpoint(options.output).status();
}

}  // namespace

absl::StatusOr<ExportResult> ExportCheckpoint(const ExportOptions& options) {
  absl::StatusOr<Manifest> manifest = VerifyCheckpoint(options.checkpoint);
  if (!manifest.ok()) {
    return Annotate(manifest.status(), options.checkpoint);
  }
  ExportResult result;
  result.step = manifest->step;
  RETURN_IF_ERROR(options.format == ExportFormat::kHuggingFace
                      ? ExportHuggingFace(options, *manifest, &result)
                      : ExportCherry(options, *manifest, &result));
  return result;
}

}  // namespace cherry::client
