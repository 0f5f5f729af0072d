/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/collect/argocd/argocd_place.h"
#include "tests/support/check.h"

static struct argocd_place place_of(const struct argocd_settings *settings, const char *label, const char *name,
                                    const char *server) {
    KubeMeta_LabelsEntry entries[] = {{SLICE_LIT("other"), SLICE_LIT("x")}, {SLICE_LIT("env"), slice_from_text(label)}};
    KubeApplication application = {0};
    application.metadata.labels.items = entries;
    application.metadata.labels.count = 2;
    application.spec.destination.name = slice_from_text(name);
    application.spec.destination.server = slice_from_text(server);
    struct argocd_place place;
    argocd_place(settings, SLICE_LIT("c1"), SLICE_LIT("prod"), &application, &place);
    return place;
}

TEST(the_label_says_the_environment_and_the_destination_the_cluster) {
    static const struct setting_pair environments[] = {{SLICE_LIT("stg"), SLICE_LIT("staging")}};
    static const struct setting_pair clusters[] = {{SLICE_LIT("https://10.0.0.9:6443"), SLICE_LIT("edge-9")},
                                                   {SLICE_LIT("far"), SLICE_LIT("c2")}};
    const struct argocd_settings settings = {
        .environment_label = SLICE_LIT("env"), .environments = {environments, 1}, .clusters = {clusters, 2}};
    static const struct {
        const char *label, *name, *server, *environment, *cluster;
    } cases[] = {
        {"", "", "https://kubernetes.default.svc", "prod", "c1"},
        {"", "in-cluster", "", "prod", "c1"},
        {"", "", "", "prod", "c1"},
        {"stg", "far", "", "staging", "c2"},
        {"dev", "near", "", "dev", "near"},
        {"dev ops/1", "", "https://10.0.0.9:6443", "dev-ops-1", "edge-9"},
        {"", "", "https://api.west.example.com:6443/k8s", "prod", "api.west.example.com-6443"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct argocd_place place = place_of(&settings, cases[i].label, cases[i].name, cases[i].server);
        assert_string_equal(place.environment, cases[i].environment);
        assert_string_equal(place.cluster, cases[i].cluster);
    }
    const struct argocd_settings none = {0};
    assert_string_equal(place_of(&none, "stg", "far", "").environment, "prod");
}

TEST(a_name_of_any_length_and_bytes_becomes_an_id) {
    char name[1000];
    memset(name, '\xff', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    const struct argocd_settings settings = {.environment_label = SLICE_LIT("env")};
    const struct argocd_place place = place_of(&settings, name, name, "");
    assert_int_equal(strlen(place.environment), ARGOCD_PLACE_BYTES);
    assert_int_equal(strspn(place.cluster, "-"), ARGOCD_PLACE_BYTES);
    assert_string_equal(place_of(&settings, "", "", "https:///x").cluster, "unknown");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_label_says_the_environment_and_the_destination_the_cluster),
        cmocka_unit_test(a_name_of_any_length_and_bytes_becomes_an_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
