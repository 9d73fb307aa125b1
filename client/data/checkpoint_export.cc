#include "client/data/checkpoint_export.h"

#include "absl/strings/str_cat.h"
#include "client/data/copy_file.h"
#include "client/data/fold_loops.h"
#include "common/file.h"
#include "common/manifest.h"
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

// The trainer names the class of transformers that computes the same function; other models have none, but
// for what folds into one.
absl::Status CheckExpressible(const std::string& path, const std::string& text) {
  const OwnModel model = OwnModelOf(text);
  if (model.folds()) {
    return absl::OkStatus();
  }
  const Json config = Json::parse(text, nullptr, false);
  if (!config.is_object() || !config.contains("architectures")) {
    return absl::DataLossError(absl::StrCat(path, ": names no architecture"));
  }
  for (const char* known : {"LlamaForCausalLM", "Qwen3ForCausalLM"}) {
    if (config["architectures"] == Json::array({known})) {
      return absl::OkStatus();
    }
  }
  return Error(absl::StatusCode::kFailedPrecondition, "MODEL_NOT_EXPRESSIBLE", "format",
               absl::StrCat(path, ": transformers has no model like ", config["architectures"].dump(),
                            model.experts > 0 ? ", a mixture with loops, gains or biases of its own" : ""),
               model.schedule.empty() || model.experts > 0
                   ? "export it in Cherry's own format with --format cherry"
                   : "loops unfold into a plain model where compress.unroll.serveable is true; "
                     "export this one with --format cherry");
}

std::string TokenizerConfig(int max_length) {
  const Json json = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                     {"bos_token", "<s>"},
                     {"eos_token", "</s>"},
                     {"unk_token", "<unk>"},
                     {"clean_up_tokenization_spaces", false},
                     {"model_max_length", max_length}};
  return json.dump(2) + "\n";
}

std::string GenerationConfig() {
  const Json json = {{"bos_token_id", 1}, {"eos_token_id", 2}, {"do_sample", true}};
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

absl::Status ExportHuggingFace(const ExportOptions& options, const Manifest& manifest, ExportResult* result) {
  for (const char* name : {kModelFile, kTokenizerFile, kConfigFile}) {
    if (!Has(manifest, name)) {
      return absl::DataLossError(absl::StrCat(options.checkpoint, ": no ", name));
    }
  }
  const std::string config_path = absl::StrCat(options.checkpoint, "/", kConfigFile);
  ASSIGN_OR_RETURN(const std::string config, ReadFile(config_path));
  RETURN_IF_ERROR(CheckExpressible(config_path, config));
  const bool fold = OwnModelOf(config).folds();
  RETURN_IF_ERROR(CheckOutput(options));
  const auto to = [&](absl::string_view name) { return absl::StrCat(options.output, "/", name); };
  const auto from = [&](absl::string_view name) { return absl::StrCat(options.checkpoint, "/", name); };
  RETURN_IF_ERROR(fold ? FoldWeights(from(kModelFile), to(kModelFile), config)
                       : CopyFile(from(kModelFile), to(kModelFile)));
  RETURN_IF_ERROR(CopyFile(from(kTokenizerFile), to(kTokenizerFile)));
  RETURN_IF_ERROR(WriteFileAtomically(to("tokenizer_config.json"),
                                      TokenizerConfig(manifest.spec.train().sequence_length())));
  RETURN_IF_ERROR(WriteFileAtomically(to("generation_config.json"), GenerationConfig()));
  // Last: without it nothing opens the directory.
  if (fold) {
    ASSIGN_OR_RETURN(const std::string plain, FoldConfig(config));
    RETURN_IF_ERROR(WriteFileAtomically(to(kConfigFile), plain));
  } else {
    RETURN_IF_ERROR(CopyFile(config_path, to(kConfigFile)));
  }
  result->files = {kModelFile, kTokenizerFile, "tokenizer_config.json", "generation_config.json",
                   kConfigFile};
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
