/* What the kernel tells of descriptors and children, for whoever looks at all of them. */

#include "_speedups.h"
#include <string.h>
#ifdef __linux__
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

/* ---- What is open ----------------------------------------------------------------------------- */

#ifdef __linux__
typedef struct {
    int number;
    struct stat status;
} Descriptor;

/* The rest run without Python, so that others may run. Each returns how many there are, or -1 with
 * errno set; `*found` is to be freed. */

/* Numbers that need not be looked for, in order: our own lie far above the rest. */
typedef struct {
    Py_ssize_t count;
    int numbers[32];
} Known;

static void
add_known(Known *known, long number)
{
    Py_ssize_t place = known->count;
    if (number < 0 || number > INT_MAX || place == sizeof(known->numbers) / sizeof(int))
        return; /* what is not known is looked for */
    while (place > 0 && known->numbers[place - 1] > number)
        place--;
    if (place > 0 && known->numbers[place - 1] == number)
        return;
    memmove(&known->numbers[place + 1], &known->numbers[place],
            (known->count - place) * sizeof(int));
    known->numbers[place] = (int)number;
    known->count++;
}

static int
read_known(PyObject *numbers, Known *known)
{
    PyObject *iterator = PyObject_GetIter(numbers), *one;
    known->count = 0;
    if (iterator == NULL)
        return -1;
    while ((one = PyIter_Next(iterator)) != NULL) {
        add_known(known, PyLong_AsLong(one));
        Py_DECREF(one);
        if (PyErr_Occurred())
            break;
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() ? -1 : 0;
}

static int
add_if_open(Descriptor *all, Py_ssize_t count, int number)
{
    all[count].number = number;
    return fstat(number, &all[count].status) == 0;
}

/* Numbers are handed out from below, so nearly all that are tried are open; to be listed by the
 * kernel, each would cost five times as much. Returns -1 if there are gaps, or if others open and
 * close meanwhile; and before Linux 6.2, where the folder does not tell how many there are. */
static Py_ssize_t
try_numbers(const char *path, const Known *known, Descriptor **found)
{
    struct stat folder;
    Py_ssize_t count = 0, passed = 0;
    if (stat(path, &folder) < 0 || folder.st_size <= 0)
        return -1;
    Py_ssize_t room = folder.st_size, limit = 2 * room + 256;
    Descriptor *all = *found = malloc(room * sizeof(Descriptor));
    for (Py_ssize_t i = 0; all != NULL && i < known->count && count < room; i++)
        count += add_if_open(all, count, known->numbers[i]);
    for (int number = 0; all != NULL && number < limit && count < room; number++) {
        if (passed < known->count && known->numbers[passed] == number)
            passed++;
        else
            count += add_if_open(all, count, number);
    }
    if (count == room && stat(path, &folder) == 0 && folder.st_size == room)
        return count;
    free(all);
    *found = NULL;
    return -1;
}

static Py_ssize_t
read_folder(const char *path, Descriptor **found)
{
    Py_ssize_t count = 0, room = 64;
    struct dirent *entry;
    DIR *folder = opendir(path);
    *found = NULL;
    if (folder == NULL)
        return -1;
    Descriptor *all = malloc(room * sizeof(Descriptor));
    while (all != NULL && (entry = readdir(folder)) != NULL) {
        int number = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || number == dirfd(folder))
            continue;
        if (count == room) {
            Descriptor *larger = realloc(all, (room *= 2) * sizeof(Descriptor));
            if (larger == NULL) {
                free(all);
                all = NULL;
                break;
            }
            all = larger;
        }
        all[count].number = number;
        if (fstat(number, &all[count].status) == 0) /* else closed meanwhile by a thread */
            count++;
    }
    closedir(folder);
    *found = all;
    if (all == NULL)
        errno = ENOMEM;
    return all == NULL ? -1 : count;
}
#endif

#ifdef __linux__
static PyObject *
as_item(const Descriptor *found, PyObject *text)
{
    const struct stat *status = &found->status;
    PyObject *item = PyTuple_New(5);
    if (item == NULL)
        return NULL;
    PyTuple_SET_ITEM(item, 0, PyLong_FromLong(found->number));
    PyTuple_SET_ITEM(item, 1, PyLong_FromUnsignedLongLong(status->st_dev));
    PyTuple_SET_ITEM(item, 2, PyLong_FromUnsignedLongLong(status->st_ino));
    PyTuple_SET_ITEM(item, 3, PyLong_FromLong(status->st_mode & S_IFMT));
    PyTuple_SET_ITEM(item, 4, Py_NewRef(text));
    for (Py_ssize_t i = 0; i < 4; i++) {
        if (PyTuple_GET_ITEM(item, i) == NULL) {
            Py_DECREF(item);
            return NULL;
        }
    }
    PyObject_GC_UnTrack(item); /* numbers: nothing for the collector */
    return item;
}
#endif

PyDoc_STRVAR(descriptors_doc,
"descriptors(path, known, /)\n--\n\n"
"Return number, device, inode and form of each open descriptor, and \"\", in no order.\n\n"
"Args:\n"
"    path: a folder of all descriptors.\n"
"    known: some of their numbers, such as would be long looked for from 0 on.\n\n"
"Raises:\n"
"    OSError: the folder cannot be read.\n");

static PyObject *
descriptors(PyObject *module, PyObject *args)
{
    PyObject *path, *numbers;
    if (!PyArg_ParseTuple(args, "UO:descriptors", &path, &numbers))
        return NULL;
#ifdef __linux__
    const char *text = PyUnicode_AsUTF8(path);
    Descriptor *found;
    Known known;
    Py_ssize_t count;
    if (text == NULL || read_known(numbers, &known) < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    count = try_numbers(text, &known, &found);
    if (count < 0)
        count = read_folder(text, &found);
    Py_END_ALLOW_THREADS
    if (count < 0)
        return PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
    PyObject *list = PyList_New(count), *nothing = PyUnicode_FromString("");
    for (Py_ssize_t i = 0; list != NULL && i < count; i++) {
        PyObject *item = nothing == NULL ? NULL : as_item(&found[i], nothing);
        if (item == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, i, item);
    }
    Py_XDECREF(nothing);
    free(found);
    return list;
#else
    errno = ENOSYS;
    return PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
#endif
}

PyDoc_STRVAR(state_of_doc,
"state_of(fd, /)\n--\n\n"
"Return the inode, the size and the number of links of what a descriptor points to.\n\n"
"Raises:\n"
"    OSError: it is not open.\n");

static PyObject *
state_of(PyObject *module, PyObject *fd)
{
#ifdef __linux__
    struct stat status;
    long number = PyLong_AsLong(fd);
    if (number == -1 && PyErr_Occurred())
        return NULL;
    if (fstat((int)number, &status) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    PyObject *inode = PyLong_FromUnsignedLongLong(status.st_ino);
    PyObject *size = PyLong_FromLongLong(status.st_size);
    PyObject *links = PyLong_FromUnsignedLongLong(status.st_nlink);
    PyObject *facts = NULL;
    if (inode != NULL && size != NULL && links != NULL)
        facts = PyTuple_Pack(3, inode, size, links);
    Py_XDECREF(inode);
    Py_XDECREF(size);
    Py_XDECREF(links);
    return facts;
#else
    errno = ENOSYS;
    return PyErr_SetFromErrno(PyExc_OSError);
#endif
}

/* ---- Children -------------------------------------------------------------------------------- */

PyDoc_STRVAR(make_zombie_doc,
"make_zombie()\n--\n\n"
"Start a child that ends at once, to be waited for; return its id.\n\n"
"Raises:\n"
"    OSError: no child can be had, or not here.\n");

static PyObject *
make_zombie(PyObject *module, PyObject *unused)
{
#ifdef __linux__
    /* It borrows our memory, which saves the copy of it, and touches nothing. */
    pid_t child = vfork();
    if (child == 0)
        _exit(0);
    if (child > 0)
        return PyLong_FromLong(child);
#else
    errno = ENOSYS;
#endif
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* ---- Orphans --------------------------------------------------------------------------------- */

PyDoc_STRVAR(set_subreaper_doc,
"set_subreaper(value, /)\n--\n\n"
"Have orphaned grandchildren handed to this process, or no longer; prctl(2).\n\n"
"Returns:\n"
"    The former setting, or None where there is no such thing.\n");

static PyObject *
set_subreaper(PyObject *module, PyObject *value)
{
#ifdef __linux__
    int former = 0;
    long wanted = PyLong_AsLong(value);
    if (wanted == -1 && PyErr_Occurred())
        return NULL;
    if (prctl(PR_GET_CHILD_SUBREAPER, &former, 0, 0, 0) == 0
        && prctl(PR_SET_CHILD_SUBREAPER, wanted, 0, 0, 0) == 0)
        return PyLong_FromLong(former);
#endif
    Py_RETURN_NONE;
}

/* ---- Threads that run Python -------------------------------------------------------------------- */

PyDoc_STRVAR(threads_of_python_doc,
"threads_of_python()\n--\n\n"
"Return the kernel's ids of the threads that the interpreter has a state for.\n\n"
"One that was started and has not come to run yet is not among them.");

static PyObject *
threads_of_python(PyObject *module, PyObject *unused)
{
    PyObject *found = PyList_New(0);
#ifdef PY_HAVE_THREAD_NATIVE_ID
    /* States come and go only while their thread has the lock, which is ours here; without a lock,
     * this file is not compiled. Nothing below gives it away but for an allocation's collection, and
     * that runs no thread. */
    PyThreadState *state = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    for (; found != NULL && state != NULL; state = PyThreadState_Next(state)) {
        PyObject *number = PyLong_FromUnsignedLong(state->native_thread_id);
        if (number == NULL || PyList_Append(found, number) < 0)
            Py_CLEAR(found);
        Py_XDECREF(number);
    }
#endif
    return found;
}

static PyMethodDef functions[] = {
    {"threads_of_python", threads_of_python, METH_NOARGS, threads_of_python_doc},
    {"descriptors", descriptors, METH_VARARGS, descriptors_doc},
    {"make_zombie", make_zombie, METH_NOARGS, make_zombie_doc},
    {"set_subreaper", set_subreaper, METH_O, set_subreaper_doc},
    {"state_of", state_of, METH_O, state_of_doc},
    {NULL, NULL, 0, NULL},
};

int
add_system(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
