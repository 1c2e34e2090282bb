// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/kvm_offsets.h"

#include <bpf/btf.h>

#include <cerrno>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace lockhost::agent {
namespace {

struct BtfFree {
  void operator()(btf* types) const { btf__free(types); }
};
using BtfPtr = std::unique_ptr<btf, BtfFree>;

const btf_type* Resolve(const btf& types, uint32_t id) {
  const btf_type* type = btf__type_by_id(&types, id);
  while (type != nullptr && (btf_is_mod(type) || btf_is_typedef(type))) {
    type = btf__type_by_id(&types, type->type);
  }
  return type;
}

struct Found {
  uint32_t bit_offset;
  uint32_t type_id;
};

// Also looks into anonymous structs and unions, whose members belong to the outer type.
std::optional<Found> FindMember(const btf& types, const btf_type* outer, std::string_view name) {
  if (outer == nullptr || !btf_is_composite(outer)) return std::nullopt;
  const btf_member* members = btf_members(outer);
  for (uint32_t i = 0; i < btf_vlen(outer); ++i) {
    const uint32_t offset = btf_member_bit_offset(outer, i);
    const std::string_view member_name = btf__name_by_offset(&types, members[i].name_off);
    if (member_name == name) {
      if (btf_member_bitfield_size(outer, i) != 0) return std::nullopt;
      return Found{offset, members[i].type};
    }
    if (!member_name.empty()) continue;
    if (auto inner = FindMember(types, Resolve(types, members[i].type), name)) {
      return Found{offset + inner->bit_offset, inner->type_id};
    }
  }
  return std::nullopt;
}

absl::StatusOr<BtfPtr> LoadKvmTypes(const std::string& directory, BtfPtr& base) {
  const std::string vmlinux = absl::StrCat(directory, "/vmlinux");
  base.reset(btf__parse(vmlinux.c_str(), nullptr));
  if (base == nullptr) {
    return absl::NotFoundError(absl::StrCat("no kernel type information in ", vmlinux));
  }
  if (btf__find_by_name_kind(base.get(), "kvm_vcpu", BTF_KIND_STRUCT) > 0) {
    return std::move(base);
  }
  const std::string module = absl::StrCat(directory, "/kvm");
  BtfPtr types(btf__parse_split(module.c_str(), base.get()));
  if (types == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("no KVM in this kernel, or its module is not loaded (", module, ")"));
  }
  return types;
}

}  // namespace

absl::StatusOr<uint32_t> MemberOffset(const btf& types, const std::string& struct_name,
                                      const std::string& path, uint32_t bytes) {
  const auto missing = [&] {
    return absl::NotFoundError(absl::StrCat("struct ", struct_name, " has no member ", path, " of ",
                                            bytes, " bytes on this kernel"));
  };
  const int root = btf__find_by_name_kind(&types, struct_name.c_str(), BTF_KIND_STRUCT);
  if (root <= 0) return missing();
  Found found{0, static_cast<uint32_t>(root)};
  std::string_view rest = path;
  while (!rest.empty()) {
    const size_t dot = rest.find('.');
    const auto member = FindMember(types, Resolve(types, found.type_id), rest.substr(0, dot));
    if (!member) return missing();
    found = {found.bit_offset + member->bit_offset, member->type_id};
    rest = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
  }
  if (found.bit_offset % 8 != 0 || btf__resolve_size(&types, found.type_id) != bytes) {
    return missing();
  }
  return found.bit_offset / 8;
}

absl::StatusOr<KvmOffsets> ReadKvmOffsets(const std::string& directory) {
  BtfPtr base;
  const auto types = LoadKvmTypes(directory, base);
  if (!types.ok()) return types.status();
  KvmOffsets offsets;
  const struct {
    const char* path;
    uint32_t bytes;
    uint32_t* offset;
  } wanted[] = {{"preempt_notifier.link", 16, &offsets.notifier},
                {"kvm", 8, &offsets.kvm},
                {"vcpu_id", 4, &offsets.vcpu_id},
                {"stat.generic.blocking", 8, &offsets.blocking}};
  for (const auto& member : wanted) {
    const auto offset = MemberOffset(**types, "kvm_vcpu", member.path, member.bytes);
    if (!offset.ok()) return offset.status();
    *member.offset = *offset;
  }
  return offsets;
}

}  // namespace lockhost::agent
