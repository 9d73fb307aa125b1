#include "client/data/k_let.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "client/data/random.h"

namespace cherry::client {
namespace {

using ::testing::ElementsAre;

using Text = std::vector<LabelledToken>;
using Tokens = std::vector<int32_t>;

Text TextOf(const Tokens& tokens) {
  Text text;
  for (const int32_t token : tokens) {
    text.push_back({token, 0});
  }
  return text;
}

Tokens TokensOf(const Text& text) {
  Tokens tokens;
  for (const LabelledToken& token : text) {
    tokens.push_back(token.token);
  }
  return tokens;
}

Text RandomText(size_t size, uint64_t vocab, Random* random) {
  Text text;
  for (size_t i = 0; i < size; ++i) {
    text.push_back({static_cast<int32_t>(random->Below(vocab)), static_cast<uint8_t>(random->Below(16))});
  }
  return text;
}

// How often each k-gram occurs, apart for each label of its last token.
std::map<std::pair<Tokens, int>, int> GramCounts(const Text& text, int k, bool with_labels) {
  std::map<std::pair<Tokens, int>, int> counts;
  const Tokens tokens = TokensOf(text);
  for (size_t end = static_cast<size_t>(k); end <= text.size(); ++end) {
    const auto last = tokens.begin() + static_cast<std::ptrdiff_t>(end);
    ++counts[{Tokens(last - k, last), with_labels ? text[end - 1].label : 0}];
  }
  return counts;
}

// All texts with the k-grams of `text` and its first k - 1 tokens, by trying each token at each place.
void Extend(std::map<std::pair<Tokens, int>, int>* left, int k, size_t size, Tokens* prefix,
            std::vector<Tokens>* all) {
  if (prefix->size() == size) {
    all->push_back(*prefix);
    return;
  }
  for (int32_t token = 0; token < 4; ++token) {
    prefix->push_back(token);
    const auto found = left->find({Tokens(prefix->end() - k, prefix->end()), 0});
    if (found != left->end() && found->second > 0) {
      --found->second;
      Extend(left, k, size, prefix, all);
      ++found->second;
    }
    prefix->pop_back();
  }
}

std::vector<Tokens> AllArrangements(const Tokens& tokens, int k) {
  auto left = GramCounts(TextOf(tokens), k, false);
  Tokens prefix(tokens.begin(), tokens.begin() + k - 1);
  std::vector<Tokens> all;
  Extend(&left, k, tokens.size(), &prefix, &all);
  return all;
}

// What chi squared exceeds once in a thousand times, by Wilson and Hilferty's approximation.
double ChiSquaredLimit(size_t degrees) {
  const auto d = static_cast<double>(degrees);
  return d * std::pow(1 - 2 / (9 * d) + 3.0902 * std::sqrt(2 / (9 * d)), 3);
}

TEST(KLetTest, KeepsTheCountOfEveryGram) {
  Random random(7);
  for (const int k : {2, 3, 4}) {
    for (int round = 0; round < 200; ++round) {
      const size_t size = static_cast<size_t>(random.Below(400));
      const Text text = RandomText(size, 1 + random.Below(12), &random);
      const auto shuffled = ShuffleKeepingGrams(text, k, &random);
      ASSERT_TRUE(shuffled.ok()) << shuffled.status();
      ASSERT_EQ(shuffled->size(), text.size());
      for (int n = 1; n <= k; ++n) {
        ASSERT_EQ(GramCounts(*shuffled, n, false), GramCounts(text, n, false)) << k << " " << n;
      }
    }
  }
}

TEST(KLetTest, LabelsTravelWithTheLastTokenOfTheirGram) {
  Random random(8);
  for (const int k : {2, 3, 4}) {
    const Text text = RandomText(2000, 9, &random);
    const auto shuffled = ShuffleKeepingGrams(text, k, &random);
    ASSERT_TRUE(shuffled.ok()) << shuffled.status();
    EXPECT_NE(TokensOf(*shuffled), TokensOf(text));
    EXPECT_EQ(GramCounts(*shuffled, k, true), GramCounts(text, k, true));
    EXPECT_EQ(GramCounts(*shuffled, 1, true), GramCounts(text, 1, true));
  }
}

TEST(KLetTest, DrawsEveryTextOfTheSameGramsEquallyOften) {
  const std::pair<int, Tokens> cases[] = {
      {2, {0, 1, 0, 2, 0, 1, 2, 1}},           // Ends elsewhere than it starts.
      {2, {0, 1, 2, 0, 0, 2, 1, 0}},           // Ends where it starts, with a loop.
      {2, {3, 0, 1, 0, 2, 2, 1, 3, 1}},        // A vertex that is left once.
      {3, {0, 1, 0, 0, 1, 1, 0, 1, 0, 1, 1}},  // Vertices of two tokens.
      {4, {0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0}},
  };
  constexpr int kDraws = 40000;
  Random random(20);
  for (const auto& [k, tokens] : cases) {
    std::map<Tokens, int> drawn;
    for (const Tokens& arrangement : AllArrangements(tokens, k)) {
      drawn[arrangement] = 0;
    }
    ASSERT_GE(drawn.size(), 5u);
    ASSERT_LE(drawn.size(), 100u);
    const Text text = TextOf(tokens);
    for (int i = 0; i < kDraws; ++i) {
      const auto shuffled = ShuffleKeepingGrams(text, k, &random);
      ASSERT_TRUE(shuffled.ok()) << shuffled.status();
      const auto found = drawn.find(TokensOf(*shuffled));
      ASSERT_NE(found, drawn.end());
      ++found->second;
    }
    const double expected = static_cast<double>(kDraws) / static_cast<double>(drawn.size());
    double chi_squared = 0;
    for (const auto& [arrangement, count] : drawn) {
      chi_squared += (count - expected) * (count - expected) / expected;
    }
    EXPECT_LT(chi_squared, ChiSquaredLimit(drawn.size() - 1))
        << "k " << k << ", " << drawn.size() << " texts";
  }
}

TEST(KLetTest, ATextWithoutAChoiceStays) {
  Random random(1);
  for (const Tokens& tokens :
       {Tokens{}, Tokens{5}, Tokens{5, 6}, Tokens{1, 2, 3, 4, 5}, Tokens{7, 7, 7, 7}}) {
    for (const int k : {2, 3, 6}) {
      EXPECT_EQ(TokensOf(ShuffleKeepingGrams(TextOf(tokens), k, &random).value()), tokens);
    }
  }
}

TEST(KLetTest, ALongTextOfRareGramsIsWalkedToItsEnd) {
  Random random(3);
  const Text text = RandomText(200000, 2000, &random);
  const auto shuffled = ShuffleKeepingGrams(text, 2, &random);
  ASSERT_TRUE(shuffled.ok()) << shuffled.status();
  EXPECT_EQ(GramCounts(*shuffled, 2, true), GramCounts(text, 2, true));
}

TEST(RandomTest, DrawsTheNumbersOfItsDefinition) {
  Random random(0);
  EXPECT_EQ(random.Next(), 0xe220a8397b1dcdafULL);
  EXPECT_EQ(random.Next(), 0x6e789e6aa1b965f4ULL);
  EXPECT_EQ(random.Next(), 0x06c45d188009454fULL);
}

TEST(RandomTest, AShuffleIsTheSameOnEveryMachine) {
  Random random(1);
  Tokens tokens = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  random.Shuffle(absl::MakeSpan(tokens));
  EXPECT_THAT(tokens, ElementsAre(4, 2, 8, 1, 9, 3, 0, 6, 7, 5));
}

TEST(RandomTest, EveryOrderIsDrawnEquallyOften) {
  constexpr int kDraws = 48000;
  Random random(5);
  std::map<Tokens, int> drawn;
  for (int i = 0; i < kDraws; ++i) {
    Tokens tokens = {0, 1, 2, 3};
    random.Shuffle(absl::MakeSpan(tokens));
    ++drawn[tokens];
  }
  ASSERT_EQ(drawn.size(), 24u);
  double chi_squared = 0;
  for (const auto& [order, count] : drawn) {
    chi_squared += (count - kDraws / 24.0) * (count - kDraws / 24.0) / (kDraws / 24.0);
  }
  EXPECT_LT(chi_squared, ChiSquaredLimit(23));
}

TEST(RandomTest, ALargeBoundFavoursNoHalf) {
  // Without drawing again, the lower half of the first third of all 64-bit numbers would come twice as often.
  constexpr uint64_t kBound = uint64_t{3} << 62;
  Random random(6);
  int low = 0;
  for (int i = 0; i < 30000; ++i) {
    low += random.Below(kBound) < kBound / 3 ? 1 : 0;
  }
  EXPECT_NEAR(low, 10000, 300);
}

}  // namespace
}  // namespace cherry::client
