// A model that is made of others must say what they say before it is trained: else the job stops.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "common/status.h"
#include "tests/unit/worker/trainer/parents.h"

namespace cherry::trainer {
namespace {

using ::testing::HasSubstr;

// A recipe of sound parents is prepared; one of a broken parent stops, and says `what` and by how much.
void ExpectStoppedWhereBroken(const std::function<std::unique_ptr<Recipe>()>& make, const std::string& what) {
  Parents sound(/*broken=*/false), broken(/*broken=*/true);
  const absl::Status prepared = make()->Prepare(&sound);
  EXPECT_TRUE(prepared.ok()) << prepared;
  const absl::Status status = make()->Prepare(&broken);
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
  ExpectStoppedWhereBroken([&] { return MakeCompressRecipe(spec, shape, at::kCPU); },
                           "the unrolled model's logits differ");
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
    ExpectStoppedWhereBroken([&] { return MakeFuseRecipe(spec, shape, at::kCPU); }, "a fusion of 2 copies");
  }
}

}  // namespace
}  // namespace cherry::trainer
