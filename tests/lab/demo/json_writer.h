// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_LAB_DEMO_JSON_WRITER_H_
#define LOCKHOST_TESTS_LAB_DEMO_JSON_WRITER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace lockhost::lab {

// Writes one JSON document, indented. Keys come before values inside objects. A number
// that is absent or not finite is written as null. Not thread-safe.
class JsonWriter {
 public:
  JsonWriter& Key(absl::string_view key);
  JsonWriter& BeginObject() { return Open('{'); }
  JsonWriter& EndObject() { return Close('}'); }
  JsonWriter& BeginArray() { return Open('['); }
  JsonWriter& EndArray() { return Close(']'); }
  JsonWriter& String(absl::string_view value);
  JsonWriter& Bool(bool value) { return Raw(value ? "true" : "false"); }
  JsonWriter& Integer(uint64_t value);
  JsonWriter& Integer(std::optional<uint64_t> value);
  JsonWriter& Number(double value);
  JsonWriter& Number(std::optional<double> value);
  JsonWriter& Null() { return Raw("null"); }

  // REQUIRES: everything that was begun has ended.
  const std::string& text() const { return text_; }

 private:
  JsonWriter& Open(char bracket);
  JsonWriter& Close(char bracket);
  JsonWriter& Raw(absl::string_view value);
  void Separate();
  void NewLine();

  std::string text_;
  std::vector<bool> has_members_;  // of each object and array that is open
  bool after_key_ = false;
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_DEMO_JSON_WRITER_H_
