"""The types of rows inside of JSON, as an application has them."""

from decimal import Decimal
from typing import assert_type

from gen_nested import models, posts
from gen_nested.dbtx import DBTX


async def results(db: DBTX) -> None:
    """Check the type of each kind of result."""
    found = await posts.list_posts(db)
    assert_type(found[0].replies, list[models.Reply])
    assert_type(found[0].replies[0].price, Decimal | None)
    unfiltered = await posts.list_unfiltered(db)
    assert_type(unfiltered[0].post, models.Post)
    assert_type(unfiltered[0].replies, list[models.Reply | None])
    assert_type(await posts.find_replies(db, id=1), list[models.Reply] | None)
    assert_type(await posts.collect_replies(db, post_id=1), list[models.Reply])
    assert_type(await posts.list_replies(db), list[models.Reply])
    trees = await posts.list_trees(db)
    assert_type(trees[0].answers[0].attachments, list[models.Attachment])
    declared = await posts.list_declared(db)
    assert_type(declared[0].first, models.Reply | None)
    assert_type(declared[0].lightest, list[models.Attachment | None] | None)
