// SPDX-License-Identifier: Apache-2.0
#include "server/tls/tls_guests.h"

#include <gtest/gtest.h>

namespace lockhost::server {
namespace {

class TlsGuestsTest : public testing::Test {
 protected:
  TlsGuestsTest() {
    guests_.Configure({{"one.example", "fc-1"}, {"uri:one", "fc-1"}, {"two.example", "uuid-2"}});
    guests_.Put(7, "fc-1", "uuid-1");
    guests_.Put(8, "fc-2", "uuid-2");
  }

  TlsGuests::Owner Find(std::vector<std::string> names) const { return guests_.Find(names); }
  // Why nobody is served.
  TlsRefusal WhyNot(std::vector<std::string> names) const {
    const TlsGuests::Owner owner = Find(std::move(names));
    EXPECT_FALSE(owner.found);
    return owner.why;
  }

  TlsGuests guests_;
};

TEST_F(TlsGuestsTest, ANameLeadsToTheVmOfThatNameOrUuid) {
  EXPECT_TRUE(Find({"one.example"}).found);
  EXPECT_EQ(Find({"one.example"}).vm_id, 7u);
  EXPECT_EQ(Find({"two.example"}).vm_id, 8u);
}

TEST_F(TlsGuestsTest, SeveralNamesOfOneVmAreThatVm) {
  EXPECT_EQ(Find({"stranger.example", "uri:one", "one.example"}).vm_id, 7u);
}

TEST_F(TlsGuestsTest, NoNameOrAnUnknownOneIsNobody) {
  EXPECT_EQ(WhyNot({}), TlsRefusal::kUnknownName);
  EXPECT_EQ(WhyNot({"stranger.example", "fc-1", ""}), TlsRefusal::kUnknownName);
}

TEST_F(TlsGuestsTest, NamesOfTwoVmsAreNeither) {
  EXPECT_EQ(WhyNot({"one.example", "two.example"}), TlsRefusal::kAmbiguous);
}

TEST_F(TlsGuestsTest, TwoVmsOfOneNameAreNeitherUntilOneGoes) {
  guests_.Put(9, "fc-1", "uuid-9");
  EXPECT_EQ(WhyNot({"one.example"}), TlsRefusal::kAmbiguous);
  guests_.Remove(7);
  EXPECT_EQ(Find({"one.example"}).vm_id, 9u);
}

TEST_F(TlsGuestsTest, AVmThatIsNotThereIsNobody) {
  guests_.Remove(8);
  EXPECT_EQ(WhyNot({"two.example"}), TlsRefusal::kNoVm);
}

TEST_F(TlsGuestsTest, AnotherConfigurationTakesThePlaceOfTheOne) {
  guests_.Configure({{"two.example", "fc-1"}});
  EXPECT_EQ(WhyNot({"one.example"}), TlsRefusal::kUnknownName);
  EXPECT_EQ(Find({"two.example"}).vm_id, 7u);
}

}  // namespace
}  // namespace lockhost::server
