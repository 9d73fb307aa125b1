// A model that is made of others must say what they say before it is trained: else the job stops.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/status.h"
#include "tests/unit/worker/trainer/parents.h"

namespace cherry::trainer {
namespace {

using ::testing::HasSubstr;

void ExpectStopped(const absl::Status& status, const std::string& what) {
  EXPECT_EQ(InfoOf(status).reason(), "LINEAGE_BROKEN") << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(what));
  EXPECT_THAT(std::string(status.message()), HasSubstr("by nan"));
  EXPECT_FALSE(InfoOf(status).remedy().empty());
}

TEST(LineageTest, LoopsThatDoNotSayWhatTheMergedModelSaysStopTheJob) {
  v1::JobSpec spec;
  spec.mutable_train()->set_steps(1);
  spec.mutable_compress()->set_layers(1);
  spec.mutable_compress()->mutable_recover()->set_alpha(1.0);
  ModelShape shape = kParent;
  shape.layers = 1;
  shape.schedule = "1x2";
  for (const bool broken : {false, true}) {
    Parents parents(broken);
    const absl::Status status = MakeCompressRecipe(spec, shape, at::kCPU)->Prepare(&parents);
    if (broken) {
      ExpectStopped(status, "the unrolled model's logits differ");
    } else {
      EXPECT_TRUE(status.ok()) << status;
    }
  }
}

TEST(LineageTest, CopiesOfAnExpertThatDoNotSayWhatItSaysStopTheJob) {
  for (const v1::FuseConfig::Routing routing :
       {v1::FuseConfig::FFN, v1::FuseConfig::TOKEN, v1::FuseConfig::SOUP}) {
    SCOPED_TRACE(v1::FuseConfig::Routing_Name(routing));
    v1::JobSpec spec;
    spec.mutable_train()->set_steps(1);
    spec.mutable_fuse()->set_routing(routing);
    spec.add_experts();
    spec.add_experts();
    ModelShape shape = kParent;
    if (routing != v1::FuseConfig::SOUP) {
      shape.experts = 2;
      shape.top_k = 2;
      shape.routing = routing;
    }
    for (const bool broken : {false, true}) {
      Parents parents(broken);
      const absl::Status status = MakeFuseRecipe(spec, shape, at::kCPU)->Prepare(&parents);
      if (broken) {
        ExpectStopped(status, "a fusion of 2 copies");
      } else {
        EXPECT_TRUE(status.ok()) << status;
      }
    }
  }
}

}  // namespace
}  // namespace cherry::trainer
