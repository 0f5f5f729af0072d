/* SPDX-License-Identifier: Apache-2.0
 * Backups of a real journal: what is refused, what is left behind, and that a damaged one is never put in place. */
#include "tests/unit/aggregator/journal/journal_fixture.h"

#include "aggregator/archive/backup.h"
#include "aggregator/archive/folder_files.h"
#include "aggregator/data_folder.h"

#include <fcntl.h>
#include <sys/stat.h>

struct data {
    struct place *place;
    char top[64], path[128], backup[128], restored[128];
    struct arena *arena;
};

/* top/data with a journal of `incidents` facts that is closed, and tokens. */
static struct data data_new(int incidents) {
    struct data d = {.place = place_new(), .arena = arena_new(64 * 1024, 256 << 20)};
    struct fault fault;
    snprintf(d.top, sizeof d.top, "/tmp/backup_test.XXXXXX");
    assert_non_null(mkdtemp(d.top));
    snprintf(d.path, sizeof d.path, "%s/data", d.top);
    snprintf(d.backup, sizeof d.backup, "%s/backup", d.top);
    snprintf(d.restored, sizeof d.restored, "%s/restored", d.top);
    assert_int_equal(mkdir(d.path, 0700), 0);
    snprintf(d.place->folder, sizeof d.place->folder, "%s/journal", d.path);
    place_open(d.place);
    for (int i = 0; i < incidents; i++) {
        char id[16];
        snprintf(id, sizeof id, "inc-%d", i);
        SreDomainIntent intent = place_incident_intent(id);
        assert_int_equal(place_give(d.place, place_intent(d.place, &intent))->result, JOURNAL_COMMITTED);
    }
    d.place->journal = journal_close(d.place->journal);
    char tokens[160];
    snprintf(tokens, sizeof tokens, "%s/tokens", d.path);
    CHECK_OK(file_write(tokens, SLICE_LIT("hashes of tokens\n"), &fault));
    return d;
}

static void data_free(struct data *d) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", d->top);
    place_free(d->place);
    arena_free(d->arena);
    assert_int_equal(system(command), 0);
}

static bool there(const char *folder, const char *name) {
    char path[256];
    struct stat found;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &found) == 0;
}

static void change_byte(const char *folder, const char *name, off_t at) {
    char path[256];
    uint8_t byte;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    const int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

TEST(what_was_restored_stands_by_until_somebody_says_otherwise) {
    struct data d = data_new(2);
    struct fault fault;
    BackupManifest manifest;
    CHECK_OK(backup_make(d.path, d.backup, d.arena, &manifest, &fault));
    assert_false(data_folder_stands_by(d.path));
    CHECK_OK(backup_restore(d.restored, d.backup, true, d.arena, &manifest, &fault));
    assert_true(data_folder_stands_by(d.restored));
    CHECK_OK(data_folder_take_over(d.restored, &fault));
    assert_false(data_folder_stands_by(d.restored));
    CHECK_FAULT(data_folder_take_over(d.restored, &fault), FAULT_ABSENT);
    data_free(&d);
}

TEST(backup_comes_back_as_it_was) {
    struct data d = data_new(7);
    struct fault fault;
    BackupManifest made, restored;
    CHECK_OK(backup_make(d.path, d.backup, d.arena, &made, &fault));
    assert_int_equal(made.last_sequence, 7);
    assert_int_equal(made.aggregates_count, 7);
    assert_int_equal(made.files.count, 2);
    assert_false(there(d.top, "backup.partial"));
    CHECK_OK(backup_restore(d.restored, d.backup, false, d.arena, &restored, &fault));
    assert_true(slice_equal(made.last_hash, restored.last_hash));
    assert_true(there(d.restored, "tokens") && !there(d.restored, DATA_UNFINISHED));
    snprintf(d.place->folder, sizeof d.place->folder, "%s/journal", d.restored);
    place_open(d.place);
    size_t count;
    (void)place_facts(d.place, &count);
    assert_int_equal(count, 7);
    SreDomainIntent intent = place_incident_intent("inc-7");
    assert_int_equal(place_give(d.place, place_intent(d.place, &intent))->last_sequence, 8);
    assert_int_equal(place_verify_chain(d.place), 8);
    data_free(&d);
}

TEST(backup_refuses_a_target_that_is_not_empty) {
    struct data d = data_new(1);
    struct fault fault;
    BackupManifest made;
    char with_slash[160];
    snprintf(with_slash, sizeof with_slash, "%s/", d.backup);
    assert_int_equal(mkdir(d.backup, 0700), 0); /* an empty one is fine */
    CHECK_OK(backup_make(d.path, with_slash, d.arena, &made, &fault));
    CHECK_FAULT(backup_make(d.path, d.backup, d.arena, &made, &fault), FAULT_CONFLICT);
    assert_non_null(strstr(fault.text, "is not empty"));
    data_free(&d);
}

TEST(backup_of_a_damaged_journal_is_not_kept) {
    struct data d = data_new(3);
    struct fault fault;
    BackupManifest made;
    struct kv *kv;
    struct kv_txn *txn;
    struct journal_tables tables;
    const struct kv_settings settings = {
        .path = d.place->folder, .map_bytes = 256 << 20, .tables_max = JOURNAL_TABLES_COUNT, .readers_max = 8};
    CHECK_OK(kv_open(&settings, &kv, &fault));
    CHECK_OK(journal_tables_open(kv, &tables, &fault));
    CHECK_OK(kv_begin_write(kv, &txn, &fault));
    uint8_t key[8];
    kv_store_u64(key, 2);
    CHECK_OK(kv_put(txn, tables.facts, slice_of(key, 8), SLICE_LIT("not a fact"), &fault));
    CHECK_OK(kv_commit(txn, &fault));
    kv_close(kv);
    CHECK_FAULT(backup_make(d.path, d.backup, d.arena, &made, &fault), FAULT_CORRUPT);
    assert_non_null(strstr(fault.text, "fact 2"));
    assert_false(there(d.top, "backup") || there(d.top, "backup.partial"));
    data_free(&d);
}

TEST(what_an_interrupted_backup_left_is_cleared) {
    struct data d = data_new(2);
    struct fault fault;
    BackupManifest made;
    char partial[160], file[200];
    snprintf(partial, sizeof partial, "%s.partial", d.backup);
    snprintf(file, sizeof file, "%s/tokens", partial);
    assert_int_equal(mkdir(partial, 0700), 0);
    CHECK_OK(file_write(file, SLICE_LIT("half"), &fault));
    CHECK_OK(backup_make(d.path, d.backup, d.arena, &made, &fault));
    assert_int_equal(made.files.count, 2);
    data_free(&d);
}

TEST(restore_refuses_a_data_folder_that_is_in_use_or_not_empty) {
    struct data d = data_new(2);
    struct fault fault;
    BackupManifest manifest;
    int lock;
    CHECK_OK(backup_make(d.path, d.backup, d.arena, &manifest, &fault));
    CHECK_FAULT(backup_restore(d.path, d.backup, false, d.arena, &manifest, &fault), FAULT_CONFLICT);
    CHECK_OK(data_folder_lock(d.restored, &lock, &fault));
    CHECK_FAULT(backup_restore(d.restored, d.backup, false, d.arena, &manifest, &fault), FAULT_CONFLICT);
    assert_non_null(strstr(fault.text, "in use"));
    close(lock);
    CHECK_OK(backup_restore(d.restored, d.backup, false, d.arena, &manifest, &fault));
    data_free(&d);
}

TEST(restore_refuses_what_is_not_what_was_backed_up) {
    static const char *const names[] = {"journal/data.mdb", "tokens", "manifest.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct data d = data_new(4);
        struct fault fault;
        BackupManifest manifest;
        CHECK_OK(backup_make(d.path, d.backup, d.arena, &manifest, &fault));
        change_byte(d.backup, names[i], i ? 3 : 9000);
        const fault_code code = backup_restore(d.restored, d.backup, false, d.arena, &manifest, &fault);
        print_message("%s\n", fault.text);
        assert_true(code == (i < 2 ? FAULT_CORRUPT : FAULT_INPUT));
        assert_false(there(d.restored, "journal") || there(d.restored, "tokens") || there(d.restored, DATA_UNFINISHED));
        data_free(&d);
    }
}

TEST(restore_of_a_folder_that_is_no_backup_says_so) {
    struct data d = data_new(1);
    struct fault fault;
    BackupManifest manifest;
    CHECK_FAULT(backup_restore(d.restored, d.path, false, d.arena, &manifest, &fault), FAULT_INPUT);
    assert_non_null(strstr(fault.text, "it is no backup"));
    assert_false(there(d.top, "restored"));
    data_free(&d);
}

TEST(interrupted_restore_is_refused_by_the_aggregator_and_goes_on_when_run_again) {
    struct data d = data_new(3);
    struct fault fault;
    BackupManifest manifest;
    char partial[200], file[256];
    CHECK_OK(backup_make(d.path, d.backup, d.arena, &manifest, &fault));
    snprintf(partial, sizeof partial, "%s/" DATA_UNFINISHED, d.restored);
    snprintf(file, sizeof file, "%s/data.mdb", partial);
    assert_int_equal(mkdir(d.restored, 0700) + mkdir(partial, 0700), 0);
    CHECK_OK(file_write(file, SLICE_LIT("the first pages"), &fault));
    CHECK_FAULT(data_folder_finished(d.restored, &fault), FAULT_CONFLICT);
    CHECK_OK(backup_restore(d.restored, d.backup, false, d.arena, &manifest, &fault));
    CHECK_OK(data_folder_finished(d.restored, &fault));
    assert_true(there(d.restored, "journal/data.mdb") && there(d.restored, "tokens"));
    data_free(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_restored_stands_by_until_somebody_says_otherwise),
        cmocka_unit_test(backup_comes_back_as_it_was),
        cmocka_unit_test(backup_refuses_a_target_that_is_not_empty),
        cmocka_unit_test(backup_of_a_damaged_journal_is_not_kept),
        cmocka_unit_test(what_an_interrupted_backup_left_is_cleared),
        cmocka_unit_test(restore_refuses_a_data_folder_that_is_in_use_or_not_empty),
        cmocka_unit_test(restore_refuses_what_is_not_what_was_backed_up),
        cmocka_unit_test(restore_of_a_folder_that_is_no_backup_says_so),
        cmocka_unit_test(interrupted_restore_is_refused_by_the_aggregator_and_goes_on_when_run_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
