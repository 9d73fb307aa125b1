#include "common/hf_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <utility>
#include <vector>

#include "common/half.h"
#include "nlohmann/json.hpp"

namespace cherry {
namespace {

using ::testing::HasSubstr;

ModelShape Shape() {
  ModelShape shape;
  shape.layers = 4;
  shape.dim = 128;
  shape.heads = 4;
  shape.kv_heads = 2;
  shape.ffn_dim = 384;
  shape.vocab = 2048;
  return shape;
}

TEST(HfConfigTest, IsALlamaForCausalLm) {
  const auto json = nlohmann::json::parse(HfConfig(Shape(), 256));
  EXPECT_EQ(json["architectures"][0], "LlamaForCausalLM");
  EXPECT_EQ(json["model_type"], "llama");
  EXPECT_EQ(json["hidden_size"], 128);
  EXPECT_EQ(json["intermediate_size"], 384);
  EXPECT_EQ(json["num_hidden_layers"], 4);
  EXPECT_EQ(json["num_attention_heads"], 4);
  EXPECT_EQ(json["num_key_value_heads"], 2);
  EXPECT_EQ(json["vocab_size"], 2048);
  EXPECT_EQ(json["max_position_embeddings"], 256);
  EXPECT_EQ(json["rope_theta"], 10000.0);
  EXPECT_EQ(json["rms_norm_eps"], 1e-5);
  EXPECT_EQ(json["tie_word_embeddings"], false);
  EXPECT_EQ(json["torch_dtype"], "float32");
  EXPECT_EQ(json["bos_token_id"], 1);
  EXPECT_EQ(json["eos_token_id"], 2);
  EXPECT_EQ(json["unk_token_id"], 0);
}

TEST(HfConfigTest, NormsOfQueryAndKeyMakeItQwen3) {
  ModelShape shape = Shape();
  shape.qk_norm = true;
  EXPECT_EQ(nlohmann::json::parse(HfConfig(shape, 256))["model_type"], "qwen3");
}

TEST(HfConfigTest, ShapesComeBack) {
  for (const bool flag : {false, true}) {
    ModelShape shape = Shape();
    shape.qk_norm = flag;
    shape.tied_embeddings = flag;
    shape.rope_theta = 500000.0;
    const absl::StatusOr<ModelShape> parsed = ParseHfConfig(HfConfig(shape, 256));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(HfConfig(*parsed, 256), HfConfig(shape, 256));
  }
}

TEST(HfConfigTest, ALoopsProductsComeBackAndAModelOfBeforeThemHasNone) {
  ModelShape shape = Shape();
  shape.schedule = "1 + 2x3 + 1";
  shape.lora_rank = 5;
  EXPECT_EQ(ParseHfConfig(HfConfig(shape, 256))->lora_rank, 5);
  auto json = nlohmann::json::parse(HfConfig(shape, 256));
  json.erase("lora_rank");
  EXPECT_EQ(ParseHfConfig(json.dump())->lora_rank, 0);
  json["lora_rank"] = 65;  // Keys and values have 64 rows.
  EXPECT_TRUE(absl::IsDataLoss(ParseHfConfig(json.dump()).status()));
}

TEST(HfConfigTest, NamesWhatIsWrong) {
  EXPECT_THAT(std::string(ParseHfConfig("[]").status().message()), HasSubstr("not a JSON object"));
  EXPECT_THAT(std::string(ParseHfConfig("{\"model_type\": \"gpt2\"}").status().message()), HasSubstr("gpt2"));
  EXPECT_THAT(std::string(ParseHfConfig("{\"model_type\": \"llama\"}").status().message()),
              HasSubstr("'hidden_size' is missing"));
  auto json = nlohmann::json::parse(HfConfig(Shape(), 256));
  json["num_attention_heads"] = 3;
  EXPECT_TRUE(absl::IsDataLoss(ParseHfConfig(json.dump()).status()));
}

TEST(HfConfigTest, BiasesNameTheirClassAndComeBack) {
  for (const auto& [bias, type] : {std::pair{v1::ModelConfig::NONE, "llama"},
                                   {v1::ModelConfig::QKV, "qwen2"},
                                   {v1::ModelConfig::ALL, "llama"}}) {
    for (const char* schedule : {"", "2 + 2x2"}) {
      ModelShape shape = Shape();
      shape.attention_bias = bias;
      shape.schedule = schedule;
      shape.head_width = 48;
      shape.positions = 4096;
      shape.begin_token = 5;
      shape.end_tokens = {7, 9};
      shape.rope_scaling.set_type(v1::RopeScaling::LLAMA3);
      shape.rope_scaling.set_factor(8.0);
      shape.rope_scaling.set_low_freq_factor(1.0);
      shape.rope_scaling.set_high_freq_factor(4.0);
      shape.rope_scaling.set_original_positions(64);
      const std::string text = HfConfig(shape, 256, "bfloat16");
      const auto json = nlohmann::json::parse(text);
      EXPECT_EQ(json["model_type"], *schedule == 0 ? type : "cherry");
      EXPECT_EQ(json["torch_dtype"], "bfloat16");
      EXPECT_EQ(json["max_position_embeddings"], 4096);
      const absl::StatusOr<ModelShape> parsed = ParseHfConfig(text);
      ASSERT_TRUE(parsed.ok()) << parsed.status();
      EXPECT_EQ(HfConfig(*parsed, 4096, "bfloat16"), text);
      EXPECT_EQ(parsed->attention_bias, bias);
      EXPECT_EQ(parsed->end_tokens, shape.end_tokens);
    }
  }
}

TEST(HfConfigTest, OneFromBeforeModelsWereImportedStillReads) {
  auto json = nlohmann::json::parse(HfConfig(Shape(), 256));
  for (const char* later : {"head_dim", "eos_token_id", "bos_token_id"}) {
    json.erase(later);
  }
  const absl::StatusOr<ModelShape> parsed = ParseHfConfig(json.dump());
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->end_tokens, std::vector<int32_t>{kEndToken});
  EXPECT_EQ(parsed->head_dim(), 32);
}

TEST(HfConfigTest, AKeyOfAnotherTypeIsNamed) {
  for (const char* key :
       {"attention_bias", "head_dim", "bos_token_id", "eos_token_id", "max_position_embeddings"}) {
    auto json = nlohmann::json::parse(HfConfig(Shape(), 256));
    json[key] = nlohmann::json::object();
    const absl::StatusOr<ModelShape> parsed = ParseHfConfig(json.dump());
    if (std::string(key) != "max_position_embeddings") {  // Which nothing is read from.
      EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(key));
    }
  }
  ModelShape own = Shape();
  own.schedule = "2 + 2x2";
  auto json = nlohmann::json::parse(HfConfig(own, 256));
  json["biases"] = 3;
  EXPECT_THAT(std::string(ParseHfConfig(json.dump()).status().message()), HasSubstr("biases"));
}

TEST(HalfTest, WidensExactly) {
  EXPECT_EQ(FromBfloat16(0x3F80), 1.0F);
  EXPECT_EQ(FromBfloat16(0xC040), -3.0F);
  EXPECT_EQ(FromFloat16(0x3C00), 1.0F);
  EXPECT_EQ(FromFloat16(0xC200), -3.0F);
  EXPECT_EQ(FromFloat16(0x0001), 5.9604644775390625e-08F);  // The smallest.
  EXPECT_EQ(FromFloat16(0x7BFF), 65504.0F);                 // The largest.
  EXPECT_EQ(FromFloat16(0xFC00), -INFINITY);
  EXPECT_TRUE(std::isnan(FromFloat16(0x7C01)));
}

}  // namespace
}  // namespace cherry
