#include "worker/checkpoint/hf_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nlohmann/json.hpp"

namespace cherry::trainer {
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

}  // namespace
}  // namespace cherry::trainer
