// SPDX-License-Identifier: Apache-2.0
#include "server/service/cid_table.h"

#include <gtest/gtest.h>

namespace lockhost::server {
namespace {

using Answer = CidTable::Answer;

TEST(CidTableTest, ACidBelongsToTheOneVmThatClaimsIt) {
  CidTable cids;
  cids.Set(7, 100);
  cids.Set(8, 101);
  EXPECT_EQ(cids.Find(101).answer, Answer::kOneVm);
  EXPECT_EQ(cids.Find(101).vm_id, 8u);
  EXPECT_EQ(cids.Find(102).answer, Answer::kUnknown);
}

TEST(CidTableTest, VmsWithoutACidAreNobodys) {
  CidTable cids;
  cids.Set(7, 0);
  EXPECT_EQ(cids.Find(0).answer, Answer::kUnknown);
}

TEST(CidTableTest, ACidThatTwoClaimIsNeithersUntilOneHasGone) {
  CidTable cids;
  cids.Set(7, 100);
  cids.Set(8, 100);
  EXPECT_EQ(cids.Find(100).answer, Answer::kClaimedTwice);
  cids.Remove(7);
  EXPECT_EQ(cids.Find(100).vm_id, 8u);
}

TEST(CidTableTest, AVmMayChangeItsCid) {
  CidTable cids;
  cids.Set(7, 100);
  cids.Set(7, 200);
  EXPECT_EQ(cids.Find(100).answer, Answer::kUnknown);
  EXPECT_EQ(cids.Find(200).vm_id, 7u);
}

}  // namespace
}  // namespace lockhost::server
